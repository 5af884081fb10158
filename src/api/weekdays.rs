//! Weekdays as RFC 5545 writes them: MO, 1MO, -1FR.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize, Serializer};

/// A day of the week, as RFC 5545 writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WeekDay {
    #[default]
    Mo,
    Tu,
    We,
    Th,
    Fr,
    Sa,
    Su,
}

impl WeekDay {
    /// Every day, Monday first, with its two letters.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Mo, "MO"),
        (Self::Tu, "TU"),
        (Self::We, "WE"),
        (Self::Th, "TH"),
        (Self::Fr, "FR"),
        (Self::Sa, "SA"),
        (Self::Su, "SU"),
    ];

    /// Its two letters.
    pub fn letters(self) -> &'static str {
        Self::ALL.iter().find(|(day, _)| *day == self).map_or("", |(_, letters)| letters)
    }
}

/// A weekday, or the n-th of them in a month or year: `MO`, `1MO`, `-1FR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayRule {
    pub day: WeekDay,
    /// Never 0; below 0 it is counted from the end.
    pub nth: Option<i8>,
}

impl FromStr for DayRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let odd = || format!("{text:?} is no weekday such as MO, 1MO or -1FR");
        let known = WeekDay::ALL.iter().find_map(|(day, letters)| Some((*day, text.strip_suffix(letters)?)));
        let (day, number) = known.ok_or_else(odd)?;
        if number.is_empty() {
            return Ok(Self { day, nth: None });
        }
        let nth = number.parse().ok().filter(|nth: &i8| (1..=53).contains(&nth.unsigned_abs()));
        Ok(Self { day, nth: Some(nth.ok_or_else(odd)?) })
    }
}

impl fmt::Display for DayRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            Some(nth) => write!(f, "{nth}{}", self.day.letters()),
            None => f.write_str(self.day.letters()),
        }
    }
}

impl Serialize for DayRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DayRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for DayRule {
    fn schema_name() -> Cow<'static, str> {
        "DayRule".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "maxLength": 5, "example": "-1FR",
                       "pattern": "^([+-]?([1-9]|[1-4][0-9]|5[0-3]))?(MO|TU|WE|TH|FR|SA|SU)$" })
    }
}

#[cfg(test)]
mod tests;
