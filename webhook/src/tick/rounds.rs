//! Writes that somebody undoes: to look, to write and to look again never ends.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cache::Key;
use crate::tick::TickError;
use crate::tick::ensure::Written;

/// Looks in a row that all had to write: more, and somebody undoes what is written. A Canary that is created
/// needs three.
const SETTLED_AFTER: u32 = 10;

/// For how many looks in a row something had to be written.
#[derive(Debug, Default)]
pub struct Rounds(Mutex<HashMap<Key, u32>>);

// === impl Rounds ===

impl Rounds {
    /// Whether what was written is undone each time.
    pub(super) fn is_undone(&self, key: &Key, written: bool) -> bool {
        if !written {
            self.forget(key);
            return false;
        }
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let round = rounds.entry(key.clone()).or_default();
        *round += 1;
        let undone = *round > SETTLED_AFTER;
        if undone {
            // One that stays is known by the look after the next write.
            *round = SETTLED_AFTER - 1;
        }
        undone
    }

    /// Nothing had to be written, or the Canary is gone.
    pub fn forget(&self, key: &Key) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.remove(key);
    }
}

/// Writing it once more does not help: people have to be told.
pub(super) fn undone(written: &Written) -> TickError {
    TickError::Stale(format!(
        "somebody undoes at once what is written ({written}): another admission webhook or controller has to leave it as it is"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_written_at_each_look_is_undone_and_one_look_without_a_write_ends_that() {
        let (rounds, key) = (Rounds::default(), Key::new("test", "podinfo"));
        let undone = |looks: &[bool]| -> Vec<bool> {
            let each = looks.iter().map(|wrote| rounds.is_undone(&key, *wrote));
            each.collect()
        };
        assert_eq!(undone(&[true; 12])[9..], [false, true, false]);
        assert_eq!(undone(&[true, true]), [true, false], "one more try a pause");
        assert_eq!(undone(&[false]), [false]);
        assert_eq!(undone(&[true; 10]), [false; 10]);
    }
}
