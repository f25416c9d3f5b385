//! What needs real pods: kubelet, containerd, Services, DNS, load. Linux, root.

#[path = "node/lab.rs"]
mod lab;
