//! Text from outside, made safe for a terminal or a log: invisible characters, and those that would move the cursor,
//! forge a line or reverse the order of letters, become escapes.
//!
//! Escapes have the form `\u001b`, beyond the first plane as two, so that a JSON document stays valid and keeps its meaning.

use std::borrow::Cow;
use std::fmt::Write;

/// Makes a text of several lines visible.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

/// Makes a text visible as part of one line; it cannot begin another.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

fn escape(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(|character: char| is_hidden(character) && !is_kept(character)) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for character in text.chars() {
        before = if !is_hidden(character) || is_kept(character) || is_needed(character, before) {
            escaped.push(character);
            character
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
            ' '
        };
    }
    Cow::Owned(escaped)
}

/// Returns true for a hidden character that scripts or emoji need after the one that is shown before it: what joins letters, or keeps
/// them apart, which nothing in ASCII needs, and what chooses the look of an emoji.
const fn is_needed(character: char, before: char) -> bool {
    match character {
        '\u{200c}' | '\u{200d}' => !before.is_ascii() && !matches!(before, '\u{200c}' | '\u{200d}'),
        '\u{fe0e}' | '\u{fe0f}' => {
            matches!(before, '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{27ff}' | '\u{2900}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
        }
        _ => false,
    }
}

/// Controls of C0 and C1; separators of lines and paragraphs; marks, embeddings, overrides and isolates of the
/// bidirectional algorithm; all that is not shown by itself, as joiners, fillers, hyphens that may be shown, choices of a look, tags
/// and controls of notes and shorthand, which may carry words that nobody sees; the pattern of Braille without a dot; private use,
/// of which nobody knows the look. Letters of scripts written from right to left are not affected.
///
/// Source: Unicode 16, properties `General_Category=Cc, Zl, Zp, Co`, `Bidi_Control` and `Default_Ignorable_Code_Point`.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}' | '\u{1160}'
                | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
                | '\u{f0000}'..='\u{10ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_to_be_seen_is_written_as_an_escape() {
        let check = |text: &str, lines: &str, line: &str| {
            assert_eq!((visible(text).as_ref(), one_line(text).as_ref()), (lines, line));
        };
        check(
            "Malmö 東京 שלום \u{1f44d}\u{200d}",
            "Malmö 東京 שלום \u{1f44d}\u{200d}",
            "Malmö 東京 שלום \u{1f44d}\u{200d}",
        );
        check("\u{1b}]0;owned\u{7}", "\\u001b]0;owned\\u0007", "\\u001b]0;owned\\u0007");
        check("a\tb\nc\r", "a\tb\nc\\u000d", "a\\u0009b\\u000ac\\u000d");
        check("\u{7f}\u{9b}31m", "\\u007f\\u009b31m", "\\u007f\\u009b31m");
        check("pass\u{200b}word\u{2060}", "pass\\u200bword\\u2060", "pass\\u200bword\\u2060");
        check("a\u{200d}b\u{200c}", "a\\u200db\\u200c", "a\\u200db\\u200c");
        check("می\u{200c}خواهم", "می\u{200c}خواهم", "می\u{200c}خواهم");
        check("ü\u{200d}\u{200d}", "ü\u{200d}\\u200d", "ü\u{200d}\\u200d");
        check("\u{e0041}\u{e000}", "\\udb40\\udc41\\ue000", "\\udb40\\udc41\\ue000");
        for hidden in
            "\u{ad}\u{34f}\u{115f}\u{1160}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{2800}\u{3164}\u{fe00}\u{fe0f}\u{ffa0}"
                .chars()
        {
            let (text, escaped) = (format!("x{hidden}"), format!("x\\u{:04x}", u32::from(hidden)));
            check(&text, &escaped, &escaped);
        }
        check(
            "\u{1d173}\u{e0100}\u{e01ef}",
            "\\ud834\\udd73\\udb40\\udd00\\udb40\\uddef",
            "\\ud834\\udd73\\udb40\\udd00\\udb40\\uddef",
        );
        check(
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
        );
        check("\u{2764}\u{fe0f}\u{fe0f}", "\u{2764}\u{fe0f}\\ufe0f", "\u{2764}\u{fe0f}\\ufe0f");
        check("\u{202e}gpj.exe\u{2066}\u{61c}", "\\u202egpj.exe\\u2066\\u061c", "\\u202egpj.exe\\u2066\\u061c");
    }

    #[test]
    fn a_document_of_json_stays_the_same() {
        let document =
            serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{7f}\u{202e}\n\u{e0041}x\u{200d}", "\u{85}": ["\u{2028}"]});
        let text = serde_json::to_string_pretty(&document).expect("JSON");
        let shown = visible(&text);
        assert!(shown.contains("\\u009b\\u007f\\u202e"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
    }
}
