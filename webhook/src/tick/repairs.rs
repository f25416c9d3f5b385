//! How often something had to be repaired that somebody else keeps changing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::cache::Key;

/// A repair that is undone within it is a fight.
const AGAIN_WITHIN: SignedDuration = SignedDuration::from_mins(1);
/// A fight is over when nothing was repaired for so long.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(10);

/// Times of repairs by Canary, the newest last.
#[derive(Debug, Default)]
pub struct Repairs(Mutex<HashMap<Key, Repair>>);

#[derive(Clone, Copy, Debug)]
struct Repair {
    last: Timestamp,
    /// The last one came soon after the one before it.
    again: bool,
}

// === impl Repairs ===

impl Repairs {
    pub fn repaired(&self, key: &Key, now: Timestamp) {
        let mut repairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = repairs.get(key);
        let again = before.is_some_and(|before| {
            let soon = now.duration_since(before.last) <= AGAIN_WITHIN;
            soon || (before.again && now.duration_since(before.last) < REMEMBERED)
        });
        repairs.insert(key.clone(), Repair { last: now, again });
    }

    pub fn contested(&self, key: &Key, now: Timestamp) -> bool {
        self.until(key, now).is_some()
    }

    /// When the fight is over, should nothing be repaired until then.
    pub fn until(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        let repairs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let repair = repairs.get(key).filter(|repair| repair.again)?;
        let until = repair.last.saturating_add(REMEMBERED).ok()?;
        (now < until).then_some(until)
    }

    pub fn forget(&self, key: &Key) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contested_after(seconds: &[i64], at: i64) -> bool {
        let (repairs, key) = (Repairs::default(), Key::new("test", "podinfo"));
        for second in seconds {
            repairs.repaired(&key, Timestamp::from_second(*second).unwrap());
        }
        repairs.contested(&key, Timestamp::from_second(at).unwrap())
    }

    #[test]
    fn one_repair_is_no_fight() {
        assert!(!contested_after(&[0], 1));
        assert!(!contested_after(&[0, 120], 121));
    }

    #[test]
    fn a_repair_that_is_undone_within_a_minute_is_a_fight_for_ten() {
        assert!(contested_after(&[0, 50], 51));
        assert!(contested_after(&[0, 50], 600));
        assert!(!contested_after(&[0, 50], 651));
        assert!(contested_after(&[0, 50, 400], 900), "it goes on");
    }
}
