//! The proxy through which Target is reached, with our credentials for it.

use reqwest::{NoProxy, Proxy, Url};
use secrecy::{ExposeSecret, SecretString};

use super::error::{ClientError, Setting};
use crate::device::environment;
use crate::device::secret::Secret;

/// The settings of a proxy.
#[derive(Clone, Debug)]
pub struct ProxyOptions {
    /// URL of the proxy, possibly with credentials.
    pub url: Secret,
    /// User name, if the URL has none.
    pub user: Option<String>,
    /// Password for that user.
    pub password: Option<Secret>,
    /// Hosts that are reached directly, in the syntax of the variable `NO_PROXY`, which applies if this is not set.
    pub exceptions: Option<String>,
}

impl ProxyOptions {
    /// Returns the proxy for requests to an endpoint.
    pub(super) fn proxy(&self, endpoint: &str) -> Result<Proxy, ClientError> {
        let url = self.url.read().map_err(|words| Setting::Proxy.error(words))?;
        if let Some(words) = wrong(&url) {
            return Err(Setting::Proxy.error(words));
        }
        let wrong = |_| Setting::Proxy.error("it must be a URL such as http://proxy.example:3128");
        let proxy = Proxy::all(url.expose_secret().trim()).map_err(wrong)?;
        let proxy = match &self.user {
            Some(user) => {
                let password = self.password.as_ref().map(Secret::read).transpose();
                let password = password.map_err(|words| Setting::ProxyPassword.error(words))?;
                proxy.basic_auth(user, password.as_ref().map_or("", |password| password.expose_secret()))
            }
            None => proxy,
        };
        let port = Url::parse(endpoint).ok().and_then(|url| url.port_or_known_default());
        Ok(proxy.no_proxy(self.exceptions().and_then(|text| NoProxy::from_string(&hosts(&text, port)))))
    }

    /// Returns host and port of a proxy that is reached without TLS, with the credentials that it requires.
    pub(super) fn address(&self) -> Option<((String, u16), Option<String>)> {
        let url = self.url.read().ok()?;
        let url = Url::parse(url.expose_secret().trim()).ok().filter(|url| url.scheme() == "http")?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = match &self.user {
            Some(user) => {
                let password = self.password.as_ref().and_then(|password| password.read().ok());
                Some(format!("{user}:{}", password.as_ref().map_or("", |password| password.expose_secret())))
            }
            None if url.username().is_empty() => None,
            None => Some(format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()))),
        };
        Some(((host, url.port_or_known_default()?), credentials))
    }

    /// Returns true if a host is reached directly, by its name; address ranges are not considered.
    pub(super) fn excepts(&self, url: &Url) -> bool {
        let text = self.exceptions().unwrap_or_default();
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_or_known_default();
        entries(&text).filter_map(Exception::read).filter(|entry| entry.port.is_none() || entry.port == port).any(
            |entry| {
                let name = entry.host.trim_start_matches('.');
                let is_below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                entry.host == "*" || is_below
            },
        )
    }

    fn exceptions(&self) -> Option<String> {
        let variable = |name| environment::variable(name).ok().map(|text| text.expose_secret().to_owned());
        let of_variable = || ["NO_PROXY", "no_proxy"].into_iter().find_map(variable);
        self.exceptions.clone().or_else(of_variable)
    }

    /// Returns the exceptions that do not name a host, which are ignored.
    #[must_use]
    pub fn strange_exceptions(&self) -> Vec<String> {
        let text = self.exceptions().unwrap_or_default();
        entries(&text).filter(|entry| Exception::read(entry).is_none()).map(str::to_owned).collect()
    }
}

/// Words on each variable that names a proxy for other programs: none of them is used unless `proxy` names it.
#[must_use]
pub fn unused_variables() -> Vec<String> {
    let is_set = |name: &&str| environment::variable(name).is_ok_and(|value| !value.expose_secret().is_empty());
    let words = |name| {
        format!(
            "{name} is set, and not used: where Target is reached through that proxy, set proxy = {{ env = \"{name}\" }} in \
             [target.http]"
        )
    };
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().filter(is_set).map(words).collect()
}

/// Returns what is wrong with a proxy URL, if anything. The URL itself is not shown, because it may contain a password.
fn wrong(url: &SecretString) -> Option<&'static str> {
    let url = url.expose_secret().trim().to_ascii_lowercase();
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    if url.starts_with("socks") {
        Some("SOCKS is not spoken; it must be an HTTP proxy, such as http://proxy.example:3128")
    } else if url.starts_with("pac+") || url.ends_with(".pac") || url.ends_with(".dat") {
        Some("a PAC file is not run; it must be the proxy that the file gives, such as http://proxy.example:3128")
    } else if !url.starts_with("http://") && !url.starts_with("https://") {
        Some("it must begin with http:// or https://, as in http://proxy.example:3128")
    } else if !path.is_empty() {
        Some("it must be a host and a port without a path, as in http://proxy.example:3128")
    } else {
        None
    }
}

/// An exception from the proxy, as written.
struct Exception<'t> {
    /// Name, which includes all names below it, or an address, or an address range.
    host: &'t str,
    port: Option<u16>,
}

impl<'t> Exception<'t> {
    /// Reads `host`, `.domain`, `*.domain`, `*`, `host:443`, `10.0.0.0/8`, `::1` or `[::1]:443`.
    fn read(text: &'t str) -> Option<Self> {
        let is_ipv6 = text.matches(':').count() > 1;
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':').or(Some(rest).filter(|rest| !rest.is_empty()))),
            None if is_ipv6 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map(str::parse).transpose().ok()?;
        let host = if host == "*" { host } else { host.strip_prefix('*').unwrap_or(host) };
        let is_host = |next: char| next.is_ascii_alphanumeric() || matches!(next, '.' | '-' | '_' | ':' | '/');
        (host == "*" || (!host.is_empty() && host.chars().all(is_host))).then_some(Self { host, port })
    }
}

fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', ';']).flat_map(str::split_whitespace)
}

/// Returns the exceptions that apply to a port, in the client's syntax.
fn hosts(text: &str, port: Option<u16>) -> String {
    let read = entries(text).filter_map(Exception::read);
    let hosts: Vec<&str> =
        read.filter(|entry| entry.port.is_none() || entry.port == port).map(|entry| entry.host).collect();
    hosts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_read_in_their_usual_forms() {
        let text = "*.acme.example; .b.example,c.example:443 d.example:8080 [::1] [fe80::1]:443 ::2 10.0.0.0/8 *";
        assert_eq!(hosts(text, Some(443)), ".acme.example,.b.example,c.example,::1,fe80::1,::2,10.0.0.0/8,*");
        assert_eq!(hosts("a.example:8080", Some(443)), "");
    }

    #[test]
    fn exceptions_that_name_no_host_are_told() {
        let options = |exceptions: &str| ProxyOptions {
            url: Secret::Text(SecretString::from("http://p")),
            user: None,
            password: None,
            exceptions: Some(exceptions.to_owned()),
        };
        let strange =
            options("a.*.example, <local>, c.example:https, https://d.example, e.example").strange_exceptions();
        assert_eq!(strange, ["a.*.example", "<local>", "c.example:https", "https://d.example"]);
    }

    #[test]
    fn what_is_no_proxy_is_named_without_its_password() {
        for (url, said) in [
            ("socks5://u:s3cret@p:1080", "SOCKS"),
            ("http://u:s3cret@p/proxy.pac", "PAC"),
            ("p.example:3128", "must begin with http"),
            ("http://u:s3cret@p/path", "without a path"),
        ] {
            let words = wrong(&SecretString::from(url)).expect("wrong");
            assert!(words.contains(said) && !words.contains("s3cret"), "{url}: {words}");
        }
        assert_eq!(wrong(&SecretString::from("http://u:p@proxy.example:3128/")), None);
    }
}
