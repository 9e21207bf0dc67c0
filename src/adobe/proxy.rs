//! The proxy through which Target is reached, with what it wants to know of us.

use reqwest::{NoProxy, Proxy};
use secrecy::{ExposeSecret, SecretString};

use super::error::ClientError;

/// A proxy.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// Its URL, perhaps with credentials.
    pub url: SecretString,
    /// Who we are to it, if the URL does not say.
    pub user: Option<String>,
    /// The password that goes with it.
    pub password: Option<SecretString>,
    /// Hosts that are reached without it, as in the variable `NO_PROXY`, which counts where this is not set.
    pub exceptions: Option<String>,
}

impl ProxyOptions {
    pub(super) fn proxy(&self) -> Result<Proxy, ClientError> {
        let proxy = Proxy::all(self.url.expose_secret()).map_err(|_| ClientError::Proxy)?;
        let proxy = match &self.user {
            Some(user) => {
                let password = self.password.as_ref().map_or("", |password| password.expose_secret());
                proxy.basic_auth(user, password)
            }
            None => proxy,
        };
        let exceptions = match &self.exceptions {
            Some(exceptions) => NoProxy::from_string(exceptions),
            None => NoProxy::from_env(),
        };
        Ok(proxy.no_proxy(exceptions))
    }
}
