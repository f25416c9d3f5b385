//! Whether anybody should send us anything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a readiness probe asks about. Nothing holds at the start.
#[derive(Debug, Default)]
pub struct Health {
    certified: AtomicBool,
    reached: AtomicBool,
    draining: AtomicBool,
    /// Reviews that came although we were not ready any more.
    late: AtomicU64,
}

// === impl Health ===

impl Health {
    /// A certificate is served.
    pub fn certified(&self) {
        self.certified.store(true, Ordering::Release);
    }

    /// We have reached ourselves as the API server would: by TLS, by our name, trusting our CA.
    pub fn reached(&self) {
        self.reached.store(true, Ordering::Release);
    }

    /// From now on whoever still comes is answered, and asked to go elsewhere next time.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub fn came_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Ready, or why not.
    pub fn ready(&self, synced: bool) -> Result<(), &'static str> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        if is(&self.draining) {
            Err("shutting down")
        } else if !is(&self.certified) {
            Err("there is no certificate yet")
        } else if !is(&self.reached) {
            Err("the certificate was not accepted by ourselves yet")
        } else if !synced {
            Err("caches are being filled")
        } else {
            Ok(())
        }
    }
}
