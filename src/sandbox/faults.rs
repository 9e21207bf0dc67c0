//! How the sandbox can be told to fail: `NAME[=ARGUMENT][*TIMES]`, separated by commas. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::wire::Api;

/// One way to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped without an answer.
    Outage,
    /// An answer of that status, perhaps with `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// The login page of a captive portal, with status 200.
    Portal,
    /// A redirect to another host.
    Redirect,
    /// The right answer, that much later.
    Slow(Duration),
    /// The connection breaks off in the middle of the answer; the update was applied.
    Reset,
    /// An update that holds this attribute is refused.
    Refuse(String),
    /// Calls of this API alone are answered with that status.
    Api(Api, u16),
    /// Calls of this API alone are done, and their answers break off.
    ApiReset(Api),
    /// A batch that is submitted now is processed that much later.
    BatchSlow(Duration),
    /// A batch that is submitted now becomes stuck.
    BatchStuck,
    /// The row of this identity fails in a batch that is submitted now.
    BatchFail(String),
}

impl Fault {
    /// Whether it changes what becomes of a batch, and not the answer.
    const fn is_of_batch(&self) -> bool {
        matches!(self, Self::BatchSlow(_) | Self::BatchStuck | Self::BatchFail(_))
    }
}

/// A fault, and how often it still strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedFault {
    /// What happens.
    pub fault: Fault,
    /// How often; none is always.
    pub times: Option<u32>,
}

/// All faults that are armed; the first that fits a request strikes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<ArmedFault>);

impl Faults {
    /// The fault that strikes a call of an API with these attributes, counted down.
    pub fn strike(&mut self, api: Api, mut has_attribute: impl FnMut(&str) -> bool) -> Option<Fault> {
        self.take(|fault| match fault {
            Fault::Refuse(attribute) => has_attribute(attribute),
            Fault::Api(of, _) | Fault::ApiReset(of) => *of == api,
            fault => !fault.is_of_batch(),
        })
    }

    /// The faults that strike a batch, each counted down once.
    pub fn strike_batch(&mut self) -> Vec<Fault> {
        let all: Vec<Fault> = self.0.iter().map(|armed| armed.fault.clone()).filter(Fault::is_of_batch).collect();
        all.iter().filter_map(|struck| self.take(|fault| fault == struck)).collect()
    }

    fn take(&mut self, mut fits: impl FnMut(&Fault) -> bool) -> Option<Fault> {
        let index = self.0.iter().position(|armed| fits(&armed.fault))?;
        let armed = &mut self.0[index];
        let fault = armed.fault.clone();
        if let Some(times) = &mut armed.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(index);
            }
        }
        Some(fault)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ArmedFault { fault, times }) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{fault}")?;
            if let Some(times) = times {
                write!(f, "*{times}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outage => f.write_str("outage"),
            Self::Status(status, None) => write!(f, "{status}"),
            Self::Status(status, Some(seconds)) => write!(f, "{status}={seconds}"),
            Self::Portal => f.write_str("portal"),
            Self::Redirect => f.write_str("redirect"),
            Self::Slow(delay) => write!(f, "slow={}ms", delay.as_millis()),
            Self::Reset => f.write_str("reset"),
            Self::Refuse(attribute) => write!(f, "refuse={attribute}"),
            Self::Api(api, status) => write!(f, "{}={status}", api.name()),
            Self::ApiReset(api) => write!(f, "{}=reset", api.name()),
            Self::BatchSlow(delay) => write!(f, "batch-slow={}ms", delay.as_millis()),
            Self::BatchStuck => f.write_str("batch-stuck"),
            Self::BatchFail(key) => write!(f, "batch-fail={key}"),
        }
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(armed).collect::<Result<_, _>>().map(Self)
    }
}

fn armed(text: &str) -> Result<ArmedFault, String> {
    let (fault, times) = match text.rsplit_once('*') {
        Some((fault, times)) => match times.parse() {
            Ok(times) if times > 0 => (fault, Some(times)),
            _ => return Err(format!("\"{times}\" is not how often a fault strikes; write it as in \"outage*3\"")),
        },
        None => (text, None),
    };
    Ok(ArmedFault { fault: fault.parse()?, times })
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, argument) = text.split_once('=').map_or((text, None), |(name, argument)| (name, Some(argument)));
        match (name, argument) {
            ("outage", None) => Ok(Self::Outage),
            ("portal", None) => Ok(Self::Portal),
            ("redirect", None) => Ok(Self::Redirect),
            ("reset", None) => Ok(Self::Reset),
            ("5xx", None) => Ok(Self::Status(500, None)),
            ("slow", Some(delay)) => duration(delay).map(Self::Slow),
            ("batch-slow", Some(delay)) => duration(delay).map(Self::BatchSlow),
            ("batch-stuck", None) => Ok(Self::BatchStuck),
            ("batch-fail", Some(key)) => Ok(Self::BatchFail(key.to_owned())),
            ("refuse", Some(attribute)) => Ok(Self::Refuse(attribute.to_owned())),
            _ => of_api(name, argument).or_else(|| status(name, argument)).ok_or_else(|| {
                format!(
                    "unknown fault \"{text}\"; there are outage, 5xx, 429=SECONDS, 503=SECONDS, 401 or any other status, \
                     portal, redirect, slow=500ms, reset, refuse=ATTRIBUTE, fetch=403 or fetch=reset and so for any API, \
                     batch-slow=30s, batch-stuck, batch-fail=KEY, each perhaps with *TIMES"
                )
            }),
        }
    }
}

/// A duration such as `90s` or `1h`; nothing is zero.
///
/// # Errors
/// A clause for a person.
pub fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() {
        return Ok(Duration::ZERO);
    }
    let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| format!("\"{text}\" is not a duration such as 90s or 1h"))
}

fn of_api(name: &str, status: Option<&str>) -> Option<Fault> {
    let api = Api::ALL.into_iter().find(|api| api.name() == name)?;
    if status == Some("reset") {
        return Some(Fault::ApiReset(api));
    }
    let status = status?.parse().ok().filter(|status| (400..=599).contains(status))?;
    Some(Fault::Api(api, status))
}

fn status(name: &str, argument: Option<&str>) -> Option<Fault> {
    let status = name.parse().ok().filter(|status| (400..=599).contains(status))?;
    match argument {
        Some(seconds) => Some(Fault::Status(status, Some(seconds.parse().ok()?))),
        None => Some(Fault::Status(status, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_printed() {
        let all = "outage*3,500,429=2*1,401,portal,redirect,slow=500ms,reset*2,refuse=visits,\
                   fetch=403,single=reset*1,batch-slow=500ms,batch-stuck*1,batch-fail=7";
        assert_eq!(all.parse::<Faults>().map(|faults| faults.to_string()), Ok(all.to_owned()));
        assert_eq!("5xx".parse::<Fault>(), Ok(Fault::Status(500, None)));
        assert_eq!("".parse::<Faults>(), Ok(Faults::default()));
    }

    #[test]
    fn an_unknown_fault_is_named() {
        assert!("flood".parse::<Faults>().is_err_and(|error| error.contains("\"flood\"")));
        assert!("outage*0".parse::<Faults>().is_err());
        assert!("200".parse::<Faults>().is_err());
        assert!("slow=soon".parse::<Faults>().is_err());
    }

    #[test]
    fn a_fault_of_one_api_or_of_batches_strikes_there_alone() {
        let mut faults: Faults = "fetch=403,batch-stuck*1".parse().expect("valid");
        assert_eq!(faults.strike(Api::Single, |_| false), None);
        assert_eq!(faults.strike(Api::Fetch, |_| false), Some(Fault::Api(Api::Fetch, 403)));
        assert_eq!(faults.strike_batch(), [Fault::BatchStuck]);
        assert_eq!(faults.strike_batch(), []);
    }

    #[test]
    fn a_fault_strikes_as_often_as_told_and_a_refusal_only_where_it_fits() {
        let mut faults: Faults = "refuse=visits,outage*1".parse().expect("valid");
        assert_eq!(faults.strike(Api::Single, |name| name == "visits"), Some(Fault::Refuse("visits".into())));
        assert_eq!(faults.strike(Api::Single, |_| false), Some(Fault::Outage));
        assert_eq!(faults.strike(Api::Single, |_| false), None);
    }
}
