//! `kubectl canary …`

use std::process::ExitCode;

fn main() -> ExitCode {
    // The only failure is a provider that was installed before; then that one serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    kubectl_canary::run(std::env::args_os(), &kubectl_canary::env::Env::read())
}
