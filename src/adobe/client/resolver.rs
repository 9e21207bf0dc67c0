//! The system's resolver, whose failures can be told from others.

use std::fmt;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The system's resolver.
pub(super) struct Resolver;

/// A name was not found.
#[derive(Debug)]
pub(super) struct NameError {
    /// The name.
    pub(super) name: String,
    source: std::io::Error,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name is not found")
    }
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = tokio::net::lookup_host((name.as_str(), 0));
            let failed = |source| NameError { name: name.as_str().to_owned(), source };
            let addresses = addresses.await.map_err(failed)?;
            let addresses: Addrs = Box::new(addresses.collect::<Vec<_>>().into_iter());
            Ok(addresses)
        })
    }
}
