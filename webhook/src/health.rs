//! Whether anybody should send us anything.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a readiness probe asks about. Nothing holds at the start.
#[derive(Debug, Default)]
pub struct Health {
    certified: AtomicBool,
    reached: AtomicBool,
    draining: AtomicBool,
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
