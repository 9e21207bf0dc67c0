//! One request for an update of a profile, whichever of Target's APIs it goes through. A new API has a row in each `match` here, and
//! a file of its own beside this one. Pure.

use std::time::SystemTime;

use super::outcome::{Answer, Outcome, classify, classify_with};
use super::{delivery, single};
use crate::core::forwarding::route::UpdateApi;
use crate::core::identity::Identity;

/// A request for one update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Body of a single update.
    Single(String),
    /// A call of the Delivery API, with identity and pairs of name and value.
    Delivery(Identity, Vec<(String, String)>),
}

/// Some attributes of a profile, as one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Attributes in it, by the index given by the caller.
    pub places: Vec<usize>,
    /// The request; `None` if they are larger than one may be.
    pub request: Option<Request>,
}

/// Names that a request needs besides the update.
pub struct Naming<'n> {
    /// Property for calls of the Delivery API.
    pub property_token: Option<&'n str>,
    /// Returns the session of an identity.
    pub session: &'n (dyn Fn(&Identity) -> String + Sync),
    /// Returns a name for one request.
    pub request_id: &'n (dyn Fn() -> String + Sync),
}

impl Default for Naming<'_> {
    /// Returns no names.
    fn default() -> Self {
        Self { property_token: None, session: &|_| String::new(), request_id: &String::new }
    }
}

/// A request as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// Path, with the query.
    pub path: String,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// Divides attributes of one profile, each with its index, into the requests of an API.
#[must_use]
pub fn divide<'a>(
    api: UpdateApi,
    identity: &Identity,
    attributes: impl IntoIterator<Item = (usize, (&'a str, &'a str))>,
) -> Vec<Part> {
    match api {
        UpdateApi::Single => {
            let part = |update: single::Update| {
                let fits = update.fits();
                Part { places: update.attributes, request: fits.then_some(Request::Single(update.body)) }
            };
            single::encode(identity, attributes).into_iter().map(part).collect()
        }
        UpdateApi::Delivery => {
            let part = |delivery::Call { places, attributes }: delivery::Call| Part {
                places,
                request: Some(Request::Delivery(identity.clone(), attributes)),
            };
            delivery::divide(attributes).into_iter().map(part).collect()
        }
        // Their requests are shared with other profiles.
        UpdateApi::Bulk | UpdateApi::Hub => Vec::new(),
    }
}

impl Request {
    /// Returns the API that it is for.
    #[must_use]
    pub const fn api(&self) -> UpdateApi {
        match self {
            Self::Single(_) => UpdateApi::Single,
            Self::Delivery(..) => UpdateApi::Delivery,
        }
    }

    /// Writes it.
    #[must_use]
    pub fn written(self, client_code: &str, naming: &Naming<'_>) -> Written {
        match self {
            Self::Single(body) => Written { path: single::path(client_code), content_type: single::CONTENT_TYPE, body },
            Self::Delivery(identity, attributes) => Written {
                path: delivery::path(client_code, &(naming.session)(&identity)),
                content_type: delivery::CONTENT_TYPE,
                body: delivery::body(&identity, naming.property_token, &attributes, &(naming.request_id)()),
            },
        }
    }
}

/// Reads the answer to a request.
pub(super) fn read(api: UpdateApi, answer: Answer<'_>, now: SystemTime) -> Outcome {
    match api {
        UpdateApi::Delivery => classify_with(answer, now, delivery::read),
        UpdateApi::Single | UpdateApi::Bulk | UpdateApi::Hub => classify(answer, now),
    }
}
