//! Faults that the sandbox can be told to produce: `NAME[=ARGUMENT][*TIMES]`, separated by commas. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use super::wire::Api;
use crate::core::timestamp::Timestamp;

/// One kind of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped without an answer, and nothing is done.
    Outage,
    /// The connection is dropped without an answer, but the request is carried out.
    Lost,
    /// An answer of that status, perhaps with a `Retry-After`.
    Status(u16, Option<RetryAfter>),
    /// An error page of a gateway, with that status.
    Gateway(u16),
    /// The login page of a captive portal, with status 200.
    Portal,
    /// A redirect to another host.
    Redirect,
    /// The right answer, delayed by that much.
    Slow(Duration),
    /// The connection breaks off in the middle of the answer; the update is applied.
    Reset,
    /// An update with this attribute is refused.
    Refuse(String),
    /// The fault only affects calls of this API.
    Of(Api, Box<Self>),
    /// A missing profile is answered with status 200 and the documented body.
    Fetch200,
    /// A batch submitted now is processed after that delay.
    BatchSlow(Duration),
    /// A batch that is submitted now becomes stuck.
    BatchStuck,
    /// The row of this identity fails in a batch that is submitted now.
    BatchFail(Naming, String),
    /// Number of rows at the end of a batch submitted now that are not consumed.
    BatchShort(usize),
}

/// The form in which the status of a batch names a failed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By its key as it is.
    Raw,
    /// By its key, percent-encoded.
    Encoded,
    /// Not at all: it is only counted.
    Unnamed,
}

impl Naming {
    const ALL: [Self; 3] = [Self::Raw, Self::Encoded, Self::Unnamed];

    const fn fault_name(self) -> &'static str {
        match self {
            Self::Raw => "batch-fail",
            Self::Encoded => "batch-fail-encoded",
            Self::Unnamed => "batch-fail-unnamed",
        }
    }
}

/// The content of a `Retry-After`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// A whole number, which may be negative or too large.
    Seconds(String),
    /// A date that many seconds from the sandbox's time, possibly in the past.
    Date(i64),
}

impl RetryAfter {
    /// Returns the header's text.
    #[must_use]
    pub fn header(&self, now: Timestamp) -> String {
        match self {
            Self::Seconds(text) => text.clone(),
            Self::Date(seconds) => {
                http_date(Timestamp::from_millis(now.as_millis().saturating_add(seconds.saturating_mul(1_000))))
            }
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(text) => f.write_str(text),
            Self::Date(seconds) => write!(f, "date{seconds:+}"),
        }
    }
}

impl FromStr for RetryAfter {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(seconds) = text.strip_prefix("date") {
            return seconds.parse().map(Self::Date).map_err(|_| ());
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| Self::Seconds(text.to_owned())).ok_or(())
    }
}

/// Returns a time in the form of HTTP headers, limited to the years from 1970 to 9999.
pub(super) fn http_date(time: Timestamp) -> String {
    const LAST_SECOND: u64 = 253_402_300_799;
    let seconds = u64::try_from(time.as_millis() / 1_000).unwrap_or(0).min(LAST_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

impl Fault {
    /// Returns the fault without the API that it is bound to.
    #[must_use]
    pub fn effect(&self) -> &Self {
        match self {
            Self::Of(_, fault) => fault,
            fault => fault,
        }
    }

    /// Returns true if the request is carried out as usual and only the answer is affected.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.effect(), Self::Slow(_) | Self::Reset | Self::Lost)
    }

    /// Returns true if there is no answer at all.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self.effect(), Self::Outage | Self::Lost)
    }

    /// Returns true if the fault changes the processing of a batch rather than the answer.
    const fn is_of_batch(&self) -> bool {
        matches!(self, Self::BatchSlow(_) | Self::BatchStuck | Self::BatchFail(..) | Self::BatchShort(_))
    }

    /// Returns true if the fault affects a call of an API with these attributes.
    fn strikes(&self, api: Api, has_attribute: &mut impl FnMut(&str) -> bool) -> bool {
        match self {
            Self::Refuse(attribute) => has_attribute(attribute),
            Self::Of(of, fault) => *of == api && fault.strikes(api, has_attribute),
            Self::Fetch200 => false,
            fault => !fault.is_of_batch(),
        }
    }
}

/// A fault, with the remaining number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmedFault {
    /// The fault itself.
    pub fault: Fault,
    /// Remaining times; `None` for always.
    pub times: Option<u32>,
}

/// All armed faults; the first that matches a request takes effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<ArmedFault>);

impl Faults {
    /// Returns the fault that affects a call of an API with these attributes, and counts it down.
    pub fn strike(&mut self, api: Api, mut has_attribute: impl FnMut(&str) -> bool) -> Option<Fault> {
        self.take(|fault| fault.strikes(api, &mut has_attribute))
    }

    /// Returns true if a missing profile is answered with 200, and counts that fault down.
    pub fn strike_missing(&mut self) -> bool {
        self.take(|fault| *fault == Fault::Fetch200).is_some()
    }

    /// Returns the faults that affect a batch, and counts each down once.
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
            Self::Lost => f.write_str("lost"),
            Self::Status(status, None) => write!(f, "{status}"),
            Self::Status(status, Some(retry_after)) => write!(f, "{status}={retry_after}"),
            Self::Gateway(status) => write!(f, "gateway={status}"),
            Self::Portal => f.write_str("portal"),
            Self::Redirect => f.write_str("redirect"),
            Self::Slow(delay) => write!(f, "slow={}ms", delay.as_millis()),
            Self::Reset => f.write_str("reset"),
            Self::Refuse(attribute) => write!(f, "refuse={attribute}"),
            Self::Of(api, fault) => write!(f, "{}={fault}", api.name()),
            Self::Fetch200 => f.write_str("fetch200"),
            Self::BatchSlow(delay) => write!(f, "batch-slow={}ms", delay.as_millis()),
            Self::BatchStuck => f.write_str("batch-stuck"),
            Self::BatchFail(naming, key) => write!(f, "{}={key}", naming.fault_name()),
            Self::BatchShort(rows) => write!(f, "batch-short={rows}"),
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
        let unknown = || {
            format!(
                "unknown fault \"{text}\"; there are outage, lost, 5xx, 429=SECONDS, 503=SECONDS, 429=date-5, 401 or any other \
                 status, gateway=STATUS, portal, redirect, slow=500ms, reset, refuse=ATTRIBUTE, any of these for one API as in \
                 fetch=403 or bulk_v2=lost, fetch200, batch-slow=30s, batch-stuck, batch-fail=KEY, batch-fail-encoded=KEY, \
                 batch-fail-unnamed=KEY, batch-short=ROWS, each perhaps with *TIMES"
            )
        };
        match (name, argument) {
            ("fetch200", None) => Ok(Self::Fetch200),
            ("batch-slow", Some(delay)) => duration(delay).map(Self::BatchSlow),
            ("batch-stuck", None) => Ok(Self::BatchStuck),
            ("batch-short", Some(rows)) => rows.parse().map(Self::BatchShort).map_err(|_| unknown()),
            (name, Some(key)) if let Some(naming) = Naming::ALL.into_iter().find(|it| it.fault_name() == name) => {
                Ok(Self::BatchFail(naming, key.to_owned()))
            }
            (name, Some(fault)) if let Some(api) = Api::ALL.into_iter().find(|api| api.name() == name) => {
                answer(fault)?.map(|fault| Self::Of(api, Box::new(fault))).ok_or_else(unknown)
            }
            _ => answer(text)?.ok_or_else(unknown),
        }
    }
}

/// Reads a fault of an answer that fits any API; `None` if the text is another fault.
fn answer(text: &str) -> Result<Option<Fault>, String> {
    let (name, argument) = text.split_once('=').map_or((text, None), |(name, argument)| (name, Some(argument)));
    Ok(Some(match (name, argument) {
        ("outage", None) => Fault::Outage,
        ("lost", None) => Fault::Lost,
        ("portal", None) => Fault::Portal,
        ("redirect", None) => Fault::Redirect,
        ("reset", None) => Fault::Reset,
        ("5xx", None) => Fault::Status(500, None),
        ("slow", Some(delay)) => Fault::Slow(duration(delay)?),
        ("refuse", Some(attribute)) => Fault::Refuse(attribute.to_owned()),
        ("gateway", Some(text)) => return Ok(status(text).map(Fault::Gateway)),
        (name, argument) => {
            let retry_after = argument.map(str::parse).transpose();
            return Ok(status(name)
                .zip(retry_after.ok())
                .map(|(status, retry_after)| Fault::Status(status, retry_after)));
        }
    }))
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|status| (400..=599).contains(status))
}

/// Reads a duration such as `90s` or `1h`; an empty text is zero.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_read_as_it_is_printed() {
        let all = "outage*3,lost*1,500,429=2*1,429=0,429=-1,503=99999999999999999999,429=date-5,503=date+30*2,401,\
                   gateway=404*1,portal,redirect,slow=500ms,reset*2,refuse=visits,fetch=403,fetch=429=-1,single=reset*1,\
                   bulk_v2=lost*1,bulk_v2=outage,batch_status=slow=500ms,fetch200*1,batch-slow=500ms,batch-stuck*1,\
                   batch-fail=7,batch-fail-encoded=a b*1,batch-fail-unnamed=8,batch-short=2";
        assert_eq!(all.parse::<Faults>().map(|faults| faults.to_string()), Ok(all.to_owned()));
        assert_eq!("5xx".parse::<Fault>(), Ok(Fault::Status(500, None)));
        assert_eq!("".parse::<Faults>(), Ok(Faults::default()));
    }

    #[test]
    fn an_unknown_fault_is_named() {
        assert!("flood".parse::<Faults>().is_err_and(|error| error.contains("\"flood\"")));
        assert!("outage*0".parse::<Faults>().is_err());
        assert!("200".parse::<Faults>().is_err());
        for odd in ["slow=soon", "429=soon", "429=-", "429=date", "gateway=200", "fetch=batch-stuck", "batch-short=few"]
        {
            assert!(odd.parse::<Faults>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_fault_of_one_api_or_of_batches_strikes_there_alone() {
        let mut faults: Faults = "fetch=403,batch-stuck*1".parse().expect("valid");
        assert_eq!(faults.strike(Api::Single, |_| false), None);
        assert_eq!(
            faults.strike(Api::Fetch, |_| false),
            Some(Fault::Of(Api::Fetch, Box::new(Fault::Status(403, None))))
        );
        assert_eq!(faults.strike_batch(), [Fault::BatchStuck]);
        assert_eq!(faults.strike_batch(), []);
    }

    #[test]
    fn a_missing_profile_is_answered_with_200_as_often_as_told() {
        let mut faults: Faults = "fetch200*1".parse().expect("valid");
        assert_eq!(faults.strike(Api::Fetch, |_| false), None);
        assert!(faults.strike_missing() && !faults.strike_missing());
    }

    #[test]
    fn a_date_in_retry_after_is_by_the_sandbox_s_clock() {
        let header = |text: &str| text.parse::<RetryAfter>().map(|it| it.header(Timestamp::from_millis(60_000)));
        assert_eq!(header("date-5").as_deref(), Ok("Thu, 01 Jan 1970 00:00:55 GMT"));
        assert_eq!(header("date+5").as_deref(), Ok("Thu, 01 Jan 1970 00:01:05 GMT"));
        assert_eq!(header("date-99").as_deref(), Ok("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(header("date+9223372036854775807").as_deref(), Ok("Fri, 31 Dec 9999 23:59:59 GMT"));
        assert_eq!(header("-1").as_deref(), Ok("-1"));
    }

    #[test]
    fn a_fault_strikes_as_often_as_told_and_a_refusal_only_where_it_fits() {
        let mut faults: Faults = "refuse=visits,outage*1".parse().expect("valid");
        assert_eq!(faults.strike(Api::Single, |name| name == "visits"), Some(Fault::Refuse("visits".into())));
        assert_eq!(faults.strike(Api::Single, |_| false), Some(Fault::Outage));
        assert_eq!(faults.strike(Api::Single, |_| false), None);
    }
}
