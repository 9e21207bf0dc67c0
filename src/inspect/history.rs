//! The document of `GET /v1/history`. `src/http/openapi.json` describes its fields.

use serde::{Deserialize, Serialize};

use crate::store::Moment;

/// The document of `GET /v1/history`: how the numbers stood over the last day, oldest first; the last is now. Where nothing
/// happened for a while there is no moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct History {
    pub moments: Vec<HistoryMoment>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct HistoryMoment {
    pub at: String,
    /// Events, since the store was made.
    pub recorded: i64,
    /// Updates, since the store was made.
    pub delivered: i64,
    /// Profiles, where they were counted.
    pub pending: Option<i64>,
}

impl From<Moment> for HistoryMoment {
    fn from(moment: Moment) -> Self {
        let Moment { at, recorded, delivered, pending } = moment;
        Self { at: at.to_string(), recorded, delivered, pending }
    }
}
