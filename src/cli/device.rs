//! Answers to questions about this device: from the running agent, or from the books of its store at rest. The
//! documents are the same.

use std::sync::Arc;

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::at_rest::store_file;
use super::connect::Connection;
use super::failure::Failure;
use super::load::Loaded;
use super::reach::{AgentArgs, Reached, check_same};
use super::runtime::small_runtime;
use crate::agent::data_dir::Lock;
use crate::agent::{Course, Settings};
use crate::core::identity::Identity;
use crate::http::api::ForgetDocument;
use crate::inspect::Unanswered;
use crate::inspect::books::{Books, StoreAtRest};
use crate::inspect::forget::ForgottenTogether;
use crate::inspect::profile::Profile;
use crate::inspect::rejected::{RejectedItem, RejectedList, Retried};
use crate::inspect::status::Status;
use crate::inspect::verify::Verification;

/// The source of answers.
pub(super) enum Device {
    /// The running agent.
    Agent(Connection),
    /// The books of the store, which is ours as long as the lock lives.
    AtRest(Arc<Books>, Lock),
}

impl Device {
    /// Finds out whether an agent runs, and opens its store if none does.
    pub(super) fn open(args: &AgentArgs) -> Result<Self, Failure> {
        let (data_dir, lock) = match args.reach()? {
            Reached::Agent(connection) => return Ok(Self::Agent(connection)),
            Reached::AtRest(data_dir, lock) => (data_dir, lock),
        };
        let Loaded { config, .. } = args.config.load()?;
        check_same(&config, &data_dir)?;
        let device_id = config.agent.device_id.clone().or_else(|| data_dir.existing_device_id()).unwrap_or_default();
        let store_file = store_file(&config);
        let course = Course::at_rest(Settings::of(config), &store_file).map_err(|error| Failure::failed(&error))?;
        let settings = course.settings;
        let store = StoreAtRest {
            store_file,
            device_id,
            bounds: settings.bounds(),
            limits: settings.limits(),
            mappings: settings.mappings,
            target: settings.target.client,
        };
        let books = Books::at_rest(store).map_err(|error| Failure::failed(&error))?;
        Ok(Self::AtRest(Arc::new(books), lock))
    }

    pub(super) fn status(&self) -> Result<Status, Failure> {
        self.ask(Method::GET, "/v1/status", |books| books.status())
    }

    pub(super) fn profile(&self, identity: &Identity) -> Result<Profile, Failure> {
        self.ask(Method::GET, &profile_path(identity), |books| books.profile(identity))
    }

    pub(super) fn verify(&self, identity: &Identity, resends: bool) -> Result<Verification, Failure> {
        let (path, runtime) = (format!("{}/verify?resend={resends}", profile_path(identity)), small_runtime()?);
        self.ask(Method::POST, &path, |books| runtime.block_on(books.verify(identity.clone(), resends)))
    }

    /// Forgets several, as many as one request may have.
    pub(super) fn forget(&self, identities: &[Identity]) -> Result<ForgottenTogether, Failure> {
        match self {
            Self::Agent(connection) => {
                let identities = identities.iter().map(Identity::to_written).collect();
                let body = serde_json::to_string(&ForgetDocument { identities }).expect("texts are JSON");
                small_runtime()?.block_on(connection.post_patiently("/v1/forget", body))
            }
            Self::AtRest(books, _lock) => {
                books.forget_together(identities).map_err(|error| Failure::failed(&Unanswered::from(error)))
            }
        }
    }

    /// Returns rejected items after a number, as many as one list has.
    pub(super) fn rejected(&self, after: i64) -> Result<RejectedList, Failure> {
        self.ask(Method::GET, &format!("/v1/rejected?after={after}"), |books| books.rejected(after))
    }

    pub(super) fn rejected_item(&self, id: i64) -> Result<RejectedItem, Failure> {
        self.ask(Method::GET, &format!("/v1/rejected/{id}"), |books| books.rejected_item(id))
    }

    pub(super) fn retry_rejected(&self, id: i64) -> Result<Retried, Failure> {
        self.ask(Method::POST, &format!("/v1/rejected/{id}/retry"), |books| books.retry_rejected(id))
    }

    pub(super) fn drop_rejected(&self, id: i64) -> Result<(), Failure> {
        self.ask(Method::DELETE, &format!("/v1/rejected/{id}"), |books| books.drop_rejected(id))
    }

    /// Asks the agent through HTTP, or the books through the method given.
    fn ask<T: DeserializeOwned, E: Into<Unanswered>>(
        &self,
        method: Method,
        path: &str,
        at_rest: impl FnOnce(&Arc<Books>) -> Result<T, E>,
    ) -> Result<T, Failure> {
        match self {
            Self::Agent(connection) => small_runtime()?.block_on(connection.ask(method, path)),
            Self::AtRest(books, _lock) => at_rest(books).map_err(|error| Failure::failed(&error.into())),
        }
    }
}

/// Returns the path of a profile in the local API.
fn profile_path(identity: &Identity) -> String {
    let key = percent_encoding::utf8_percent_encode(identity.key(), percent_encoding::NON_ALPHANUMERIC);
    format!("/v1/profiles/{}/{key}", identity.kind().name())
}
