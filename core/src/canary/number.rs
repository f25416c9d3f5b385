//! Numbers as Flagger's CRD allows them: `10` and `10.0` are the same, and `10` stays `10`.
//!
//! Flagger's CRD says `number` where its program needs an integer, so an object stored under
//! that CRD can hold `2.5`. Reading cuts it off, since a refusal here would end the watch on
//! every other Canary too; our own CRD says `integer` and refuses it at the write.

use serde::{Deserialize, Deserializer, Serializer};

/// An integer that a JSON number is cut down to.
pub trait Whole: Copy {
    fn from_i64(value: i64) -> Self;
}

impl Whole for i64 {
    fn from_i64(value: i64) -> Self {
        value
    }
}

impl Whole for i32 {
    fn from_i64(value: i64) -> Self {
        Self::try_from(value).unwrap_or(if value < 0 { Self::MIN } else { Self::MAX })
    }
}

fn whole<T: Whole>(number: &serde_json::Number) -> T {
    // A float beyond i64 saturates, as `as` does.
    T::from_i64(
        number
            .as_i64()
            .unwrap_or_else(|| number.as_f64().unwrap_or_default() as i64),
    )
}

pub fn required<'de, D: Deserializer<'de>, T: Whole>(deserializer: D) -> Result<T, D::Error> {
    serde_json::Number::deserialize(deserializer).map(|number| whole(&number))
}

pub fn optional<'de, D: Deserializer<'de>, T: Whole>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<serde_json::Number>::deserialize(deserializer)?.map(|number| whole(&number)))
}

pub fn list<'de, D: Deserializer<'de>, T: Whole>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let numbers = Vec::<serde_json::Number>::deserialize(deserializer)?;
    Ok(numbers.iter().map(whole).collect())
}

/// Writes `99.0` as `99`, as it was written.
#[allow(clippy::ref_option)] // the signature that serde calls
pub fn float<S: Serializer>(value: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    // Below 2^53 every integral float is exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        None => serializer.serialize_none(),
        Some(v) if v.fract() == 0.0 && v.abs() < EXACT => serializer.serialize_i64(*v as i64),
        Some(v) => serializer.serialize_f64(*v),
    }
}
