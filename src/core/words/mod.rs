//! Words of our own, for people: one catalogue, each text in each language. What others wrote, and reasons of the parts below,
//! stand in them as they are.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::core::timestamp::Timestamp;

/// Declares texts: the lines of each are the languages, in the order of [`Language::ALL`]. Where a number comes first, `|`
/// parts one from many.
macro_rules! texts {
    ($($name:ident: $text:literal;)*) => {
        $(pub const $name: $crate::core::words::Text = $crate::core::words::Text($text);)*

        /// All of them, by name.
        pub const ALL: &[(&str, $crate::core::words::Text)] = &[$((stringify!($name), $name)),*];
    };
}

#[allow(missing_docs)] // Each says what it is.
pub mod answers;
#[allow(missing_docs)]
pub mod figures;
#[allow(missing_docs)]
pub mod page;
#[allow(missing_docs)]
pub mod profile;
#[allow(missing_docs)]
pub mod verdicts;

/// A language that people read here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English: that of documents, logs and commands.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Swedish.
    Swedish,
}

impl Language {
    /// All of them, in the order of the lines of a text.
    pub const ALL: [Self; 5] = [Self::English, Self::German, Self::French, Self::Spanish, Self::Swedish];

    /// Its tag. Source: RFC 5646.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Swedish => "sv",
        }
    }

    /// The one that is liked best of those that an `Accept-Language` names; English where none is. Source: RFC 9110, section
    /// 12.5.4.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut best: Option<(f32, Self)> = None;
        for range in header.split(',') {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let weight: f32 = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok()).unwrap_or(0.0);
            let known = Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary));
            if let Some(language) = known.filter(|_| weight > best.map_or(0.0, |(liked, _)| liked)) {
                best = Some((weight, language));
            }
        }
        best.map_or(Self::English, |(_, language)| language)
    }

    const fn is_one(self, count: i64) -> bool {
        count == 1 || count == 0 && matches!(self, Self::French)
    }
}

/// Receiver of a device's updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Receiver {
    /// Adobe Target.
    #[default]
    Target,
    /// The hub of the device's fleet.
    Hub,
}

impl Receiver {
    /// Returns its name in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "Adobe Target",
            Self::Hub => "Outpost Hub",
        }
    }

    /// Returns a text about Adobe Target as one about this receiver.
    fn named_in(self, text: &'static str) -> Cow<'static, str> {
        match self {
            Self::Hub if text.contains("Target") => {
                text.replace(Self::Target.name(), "Target").replace("Target", self.name()).into()
            }
            Self::Hub | Self::Target => text.into(),
        }
    }
}

/// Language and zone of texts for a reader, and the receiver that they name.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    /// Language of the texts.
    pub language: Language,
    /// Receiver that stands where a text names Adobe Target.
    pub receiver: Receiver,
    /// The zone of times for people; none is RFC 3339 in UTC, as documents have it.
    pub zone: Option<TimeZone>,
}

impl Voice {
    /// Returns a time in the zone of the voice, to the second.
    #[must_use]
    pub fn time(&self, at: Timestamp) -> String {
        self.zone.as_ref().map_or_else(|| at.to_string(), |zone| at.in_zone(zone))
    }

    /// A time as documents have it; what is none stays as it is.
    #[must_use]
    pub fn time_of(&self, text: &str) -> String {
        Timestamp::parse(text).map_or_else(|_| text.to_owned(), |at| self.time(at))
    }

    /// A sentence of a document, with the times in it as they are said.
    #[must_use]
    pub fn with_times(&self, text: &str) -> String {
        let each = |word: &str| {
            let time = word.trim_end().trim_end_matches(['.', ',', ';', ':', ')']).trim_start_matches('(');
            if time.ends_with('Z') { word.replace(time, &self.time_of(time)) } else { word.to_owned() }
        };
        text.split_inclusive(' ').map(each).collect()
    }

    /// Sentences, one after the other.
    #[must_use]
    pub fn sentences(&self, all: &[Said]) -> String {
        all.iter().map(|said| said.words(self)).collect::<Vec<_>>().join(" ")
    }
}

/// A text in each language; `{0}` stands for the first thing that is put in, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(&'static str);

/// Words of others, as a sentence.
pub const SENTENCE: Text = Text("{0}.\n{0}.\n{0}.\n{0}.\n{0}.");

/// Words of others.
pub const PLAIN: Text = Text("{0}\n{0}\n{0}\n{0}\n{0}");

impl Text {
    /// The text in a language.
    #[must_use]
    pub fn line(self, language: Language) -> &'static str {
        self.0.trim_start().lines().nth(language as usize).unwrap_or_default().trim()
    }

    /// With things put in.
    #[must_use]
    pub fn with(self, with: impl Into<Vec<With>>) -> Said {
        Said { text: self, with: with.into() }
    }

    /// With nothing put in.
    #[must_use]
    pub const fn said(self) -> Said {
        Said { text: self, with: Vec::new() }
    }
}

impl From<Text> for Said {
    fn from(text: Text) -> Self {
        text.said()
    }
}

/// A value that is put into a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum With {
    /// A number; the first says whether it is one or many.
    Count(i64),
    /// Words of others, or a name.
    Words(String),
    /// A time.
    Time(Timestamp),
    /// A time's length. Units: seconds.
    Span(u64),
    /// Other words of ours.
    Said(Said),
}

impl From<&str> for With {
    fn from(words: &str) -> Self {
        Self::Words(words.to_owned())
    }
}

impl From<String> for With {
    fn from(words: String) -> Self {
        Self::Words(words)
    }
}

impl From<i64> for With {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

impl With {
    /// A number that has no sign.
    #[must_use]
    pub fn count(count: impl TryInto<i64>) -> Self {
        Self::Count(count.try_into().unwrap_or(i64::MAX))
    }

    /// A time as documents have it; what is none stays as it is.
    #[must_use]
    pub fn time(text: &str) -> Self {
        Timestamp::parse(text).map_or_else(|_| Self::Words(text.to_owned()), Self::Time)
    }

    fn words(&self, voice: &Voice) -> String {
        match self {
            Self::Count(count) => grouped(*count),
            Self::Words(words) => words.clone(),
            Self::Time(at) => voice.time(*at),
            Self::Span(seconds) => span(*seconds).words(voice),
            Self::Said(said) => said.words(voice),
        }
    }
}

/// A text, and what is put in it: words in no language yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    text: Text,
    with: Vec<With>,
}

impl Said {
    /// The words, for whoever reads them.
    #[must_use]
    pub fn words(&self, voice: &Voice) -> String {
        let line = voice.receiver.named_in(self.text.line(voice.language));
        let count = self.with.iter().find_map(|with| if let With::Count(count) = with { Some(*count) } else { None });
        let mut rest = match line.split_once('|') {
            Some((one, _)) if count.is_some_and(|count| voice.language.is_one(count)) => one,
            Some((_, many)) => many,
            None => &line,
        };
        let mut words = String::new();
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}').unwrap_or_default();
            let with = place.parse().ok().and_then(|place: usize| self.with.get(place));
            let with = with.map(|with| with.words(voice)).unwrap_or_default();
            words.push_str(before);
            // Others' words may end a sentence already.
            words.push_str(if after.starts_with('.') { with.trim_end_matches('.') } else { &with });
            rest = after;
        }
        words.push_str(rest);
        if self.text == SENTENCE { capitalised(&words) } else { words }
    }

    /// The words as they stand in documents.
    #[must_use]
    pub fn document(&self) -> String {
        self.words(&Voice::default())
    }
}

/// Time, in the largest unit that fits.
fn span(seconds: u64) -> Said {
    let (count, unit) = match seconds {
        0..120 => (seconds, figures::SECONDS),
        120..7_200 => (seconds / 60, figures::MINUTES),
        7_200..172_800 => (seconds / 3_600, figures::HOURS),
        _ => (seconds / 86_400, figures::DAYS),
    };
    unit.with([With::count(count)])
}

/// Returns an English number with what it counts, such as "1 row" and "2 identities".
#[must_use]
pub fn counted(count: impl TryInto<i64>, unit: &str) -> String {
    let count = count.try_into().unwrap_or(i64::MAX);
    match unit.strip_suffix("ty") {
        _ if count == 1 => format!("{count} {unit}"),
        Some(stem) => format!("{count} {stem}ties"),
        None => format!("{count} {unit}s"),
    }
}

/// A number with spaces between its thousands.
#[must_use]
pub fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) && digit.is_ascii_digit() && !text.ends_with('-') {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A text with a capital letter at its beginning.
#[must_use]
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_there_in_every_language_with_the_same_things_in_it() {
        let all = [verdicts::ALL, page::ALL, figures::ALL, answers::ALL, profile::ALL].concat();
        assert!(all.len() > 180, "{}", all.len());
        let places = |line: &str| {
            let mut places: Vec<&str> =
                line.split('{').skip(1).map(|part| part.split('}').next().expect("one")).collect();
            places.sort_unstable();
            places.dedup();
            places.iter().map(|place| (*place).to_owned()).collect::<Vec<_>>()
        };
        for (name, text) in all {
            assert_eq!(text.0.trim().lines().count(), Language::ALL.len(), "{name}");
            let english = text.line(Language::English);
            for language in Language::ALL {
                let line = text.line(language);
                assert!(!line.is_empty(), "{name} in {language:?}");
                assert_eq!(places(line), places(english), "{name} in {language:?}");
                assert_eq!(line.matches('|').count(), english.matches('|').count(), "{name} in {language:?}");
                // Names and units are the same everywhere; sentences are not.
                let is_copied = language != Language::English && line == english && line.split(' ').count() > 3;
                assert!(!is_copied, "{name} in {language:?}");
                for code in english.split('`').skip(1).step_by(2) {
                    assert!(line.contains(&format!("`{code}`")), "{name} in {language:?}: {code}");
                }
            }
        }
    }

    #[test]
    fn the_language_that_is_liked_best_is_taken() {
        for (header, language) in [
            ("", Language::English),
            ("sv-SE,sv;q=0.9,en;q=0.8", Language::Swedish),
            ("ja, fr;q=0.5, de;q=0.7", Language::German),
            ("ES-mx", Language::Spanish),
            ("fr;q=0, en;q=0.1", Language::English),
            ("*, de;q=x", Language::English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn one_is_counted_in_the_singular_and_all_else_in_the_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "row")), ["0 rows", "1 row", "2 rows"]);
        assert_eq!([1_u64, 3].map(|count| counted(count, "identity")), ["1 identity", "3 identities"]);
    }

    #[test]
    fn numbers_and_spans_are_written_as_people_read_them() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(0), grouped(999), grouped(-1_000)), ("0".into(), "999".into(), "-1\u{202f}000".into()));
        let words = |seconds, language| span(seconds).words(&Voice { language, ..Voice::default() });
        assert_eq!(words(1, Language::English), "1 second");
        assert_eq!(words(119, Language::German), "119 Sekunden");
        assert_eq!(words(7_199, Language::French), "119 minutes");
        assert_eq!(words(90_000, Language::Swedish), "25 timmar");
        assert_eq!(
            figures::PROFILES.with([With::Count(0)]).words(&Voice { language: Language::French, ..Voice::default() }),
            "0 profil"
        );
    }

    #[test]
    fn a_device_of_a_hub_is_told_of_the_hub_in_every_language() {
        for (name, text) in [verdicts::ALL, page::ALL, figures::ALL, answers::ALL, profile::ALL].concat() {
            for language in Language::ALL {
                let voice = Voice { language, receiver: Receiver::Hub, zone: None };
                let words = text.said().words(&voice);
                assert!(!words.contains("Target"), "{name}: {words}");
                assert!(!words.contains("de Outpost") || language == Language::Spanish, "{name}: {words}");
            }
        }
        let others = verdicts::NOT_REACHED.with([With::from("Target")]);
        let voice = Voice { receiver: Receiver::Hub, ..Voice::default() };
        assert_eq!(others.words(&voice), "Outpost Hub cannot be reached: Target.");
    }

    #[test]
    fn what_is_put_in_is_not_read_as_a_place() {
        let said = verdicts::NOT_REACHED.with([With::from("{0} and {1}.")]);
        assert_eq!(said.document(), "Adobe Target cannot be reached: {0} and {1}.");
    }
}
