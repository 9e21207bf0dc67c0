//! Evidence of bytes beyond ASCII for the encoding of a file that names none: Windows-1252, a DOS code page, or neither.

/// Longest quotation whose marks are taken for a pair. Units: bytes.
const QUOTED_MAX: usize = 500;

/// Conclusion from a byte in its place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    /// Text in Windows-1252: in a DOS code page it would be none.
    Windows,
    /// A sign of Windows-1252 in its usual place, or a letter alone, but perhaps a letter of DOS or of another alphabet: what else is
    /// in the file decides.
    Perhaps,
    /// More likely a letter of DOS.
    Dos,
}

/// Returns true for a byte in a word that is a letter in DOS but not in Windows, or a capital letter only in Windows in
/// the middle of a word.
pub(super) fn may_be_dos(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| says(bytes, at) == Says::Dos)
}

/// Returns true for signs of Windows-1252 in their usual places that could be letters of DOS, such as a pair of quotation marks, and for a
/// letter that stands alone.
pub(super) fn has_signs(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| says(bytes, at) == Says::Perhaps)
}

/// Returns true for a byte in a word that is a letter or an apostrophe in Windows and a symbol, or a capital letter out of place, in
/// DOS; signs that stand beside letters in DOS, as in 5 m³ or x±1, are none.
pub(super) fn is_windows(bytes: &[u8]) -> bool {
    let is_sure = |at: usize| {
        let Some(before) = at.checked_sub(1).and_then(|at| bytes.get(at)) else { return false };
        let is_within = || bytes.get(at + 1).is_some_and(u8::is_ascii_alphabetic) || word(bytes, at) > 3;
        match bytes[at] {
            0xF1 | 0xF5..=0xF7 | 0xF9 | 0xFB..=0xFD => before.is_ascii_alphabetic() && is_within(),
            0xDF | 0xF2..=0xF4 | 0xFE => before.is_ascii_alphabetic(),
            0xE0 | 0xE2 | 0xE3 | 0xE5 | 0xE6 | 0xE8..=0xEB | 0xED => before.is_ascii_lowercase(),
            _ => false,
        }
    };
    (0..bytes.len()).any(|at| is_sure(at) || says(bytes, at) == Says::Windows)
}

fn says(bytes: &[u8], at: usize) -> Says {
    let near = |at: Option<usize>| at.and_then(|at| bytes.get(at)).copied().unwrap_or(b' ');
    let (before, after) = (near(at.checked_sub(1)), near(Some(at + 1)));
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte >= 0xC0;
    let is_small = |byte: u8| byte.is_ascii_lowercase() || byte >= 0xE0;
    let (is_behind, is_before) = (is_letter(before), is_letter(after));
    let is_by_digit = before.is_ascii_digit() || after.is_ascii_digit();
    match bytes[at] {
        // Not a character of Windows-1252.
        0x81 | 0x8D | 0x8F | 0x90 | 0x9D => Says::Dos,
        // d’accord, Don’t, L’île: a capital letter in DOS, as in KJÆR.
        0x92 if is_behind && is_before && (is_small(before) || is_small(after)) => Says::Windows,
        // cœur: a pound sign in DOS.
        0x9C if is_small(before) || is_small(after) => Says::Windows,
        // Dazs™: a capital letter in DOS.
        0x99 if is_small(before) && !is_before => Says::Windows,
        _ if is_before && !is_behind && opens(bytes, at) || is_behind && !is_before && closes(bytes, at) => {
            Says::Perhaps
        }
        // Škoda, ¡Olé!, Voilà…
        0x8A | 0xA1 if !is_behind && is_before => Says::Perhaps,
        0x85 if before >= 0xE0 && !is_before => Says::Perhaps,
        // Köln–Bonn
        0x96 | 0x97 if before >= 0xC0 || after >= 0xC0 || after.is_ascii_uppercase() => Says::Perhaps,
        // The blank that does not break, in 5 kg and before a colon.
        0xA0 if before.is_ascii_digit() || is_behind && matches!(after, b':' | b';' | b'!' | b'?' | b'%' | 0xBB) => {
            Says::Perhaps
        }
        0x80..=0xA5 if is_behind || is_before => Says::Dos,
        // Signs of Windows that are letters of Macintosh or DOS, where these stand: Straße, København, Fuß, Nº, Ægir.
        0xA7 | 0xBE | 0xBF if is_behind => Says::Dos,
        0xA1..=0xA6 | 0xA8..=0xAC | 0xAE..=0xB3 | 0xB5 | 0xB6 | 0xB8..=0xBD if is_behind && is_before => Says::Dos,
        0xAE | 0xAF | 0xBE if is_before => Says::Dos,
        0xBF if is_small(after) => Says::Perhaps,
        // 1º, 5²
        0xAA | 0xB2 | 0xB3 | 0xB9 | 0xBA if before.is_ascii_digit() => Says::Nothing,
        // ½ is the cent of DOS, ¾ its yen, § its º, « its ½, ¬ its ¼, ¦ its ª.
        0xA4 | 0xA6 | 0xAC | 0xB6 | 0xBD | 0xBE => Says::Perhaps,
        // µ and · are Á and À.
        0xB5 | 0xB7 if !is_small(after) => Says::Perhaps,
        0xA7 if before.is_ascii_digit() => Says::Perhaps,
        0xAB if !is_paired(bytes[at + 1..].iter(), |byte| byte == 0xBB) => Says::Perhaps,
        // Two signs in a row, as only another alphabet has them.
        0xA0..=0xBF if matches!(before, 0xA1..=0xBF) && !matches!((before, bytes[at]), (0xAB, 0xA0)) => Says::Perhaps,
        // The euro and the dash stand by a number, or are letters of another alphabet.
        0x80 | 0x96 | 0x97 if !has_digit_near(bytes, at) => Says::Perhaps,
        byte if is_letter_elsewhere(byte) && !is_behind && !is_before => Says::Perhaps,
        // São in DOS, and 20 °C.
        0xC0..=0xDE if before.is_ascii_lowercase() || (is_behind && after.is_ascii_lowercase()) => Says::Dos,
        // Ó within capitals is à.
        0xE0..=0xFE if before.is_ascii_uppercase() && after.is_ascii_uppercase() => Says::Dos,
        0xC0..=0xFF if is_by_digit || is_another_letter(bytes[at], is_behind) => Says::Perhaps,
        0xE0..=0xFF if !is_behind && after.is_ascii_uppercase() => Says::Perhaps,
        0xE0..=0xFE if before.is_ascii_uppercase() && !is_before => Says::Perhaps,
        // Words as short as må may be two characters of another alphabet, or 5 m³; cm² is one of three.
        0xC0..=0xFF if word(bytes, at) == 2 => Says::Perhaps,
        0xFB..=0xFD if !is_before && word(bytes, at) == 3 => Says::Perhaps,
        _ => Says::Nothing,
    }
}

/// Returns true for an opening quotation mark with its closing one behind it.
fn opens(bytes: &[u8], at: usize) -> bool {
    is_opening(bytes[at]) && is_paired(bytes[at + 1..].iter(), is_closing)
}

/// Returns true for a closing quotation mark with its opening one before it.
fn closes(bytes: &[u8], at: usize) -> bool {
    is_closing(bytes[at]) && is_paired(bytes[..at].iter().rev(), is_opening)
}

/// Returns true for a letter that stands in words like this one in DOS or on a Macintosh, and is another there: Ö is Í, Ç is Ã, ä is õ,
/// and a small letter that begins a word is a capital one.
const fn is_another_letter(byte: u8, is_behind: bool) -> bool {
    matches!(byte, 0xC6 | 0xC7 | 0xCB..=0xCE | 0xD0..=0xD4 | 0xD6..=0xD8 | 0xDE | 0xE4)
        || (!is_behind && matches!(byte, 0xE0..=0xEF | 0xF1..=0xF4))
}

/// Returns true if there is a digit at most two bytes before or behind a place.
fn has_digit_near(bytes: &[u8], at: usize) -> bool {
    bytes[at.saturating_sub(2)..bytes.len().min(at + 3)].iter().any(u8::is_ascii_digit)
}

/// Returns the number of letters side by side at a place; at most four are counted on each side.
fn word(bytes: &[u8], at: usize) -> usize {
    let is_letter = |byte: &&u8| byte.is_ascii_alphabetic() || **byte >= 0xC0;
    let before = bytes[..at].iter().rev().take(4).take_while(is_letter).count();
    before + bytes[at..].iter().take(4).take_while(is_letter).count()
}

/// Returns true for a byte that is a letter in Windows-1252, a DOS code page or windows-1251, and may be a word alone: à, å, Ö, Я, і, №.
/// Others are signs everywhere, or no such word, as the euro and the dash.
const fn is_letter_elsewhere(byte: u8) -> bool {
    matches!(
        byte,
        0x82..=0x8E | 0x91..=0x94 | 0x98..=0x9F | 0xA1 | 0xA2 | 0xA8 | 0xAA | 0xAF | 0xB2 | 0xB3 | 0xB8..=0xBA | 0xC0..=0xFF
    ) && !matches!(byte, 0xD7 | 0xF7)
}

/// Returns true if the other mark of a pair is near, in the same line.
fn is_paired<'b>(near: impl Iterator<Item = &'b u8>, is_other: fn(u8) -> bool) -> bool {
    near.take(QUOTED_MAX).take_while(|byte| **byte != b'\n').any(|byte| is_other(*byte))
}

/// Returns true for a byte in a word that is the sharp s of DOS, which is an accented a in Windows.
pub(super) fn has_sharp_s(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[1] == 0xE1 && pair[0].is_ascii_alphabetic())
}

/// Quotation marks that begin a quotation in some language.
const fn is_opening(byte: u8) -> bool {
    matches!(byte, 0x82 | 0x84 | 0x8B | 0x91 | 0x93 | 0x94 | 0x9B)
}

/// Those that end one.
const fn is_closing(byte: u8) -> bool {
    matches!(byte, 0x8B | 0x91 | 0x92 | 0x93 | 0x94 | 0x9B)
}

/// Returns true for bytes beyond ASCII side by side as only another alphabet has them: three letters or rare signs, two rare signs,
/// or a whole word of two small letters. Words with a Latin alphabet have two such letters in a row at most, as in "créée".
pub(super) fn is_foreign(bytes: &[u8]) -> bool {
    let is_word_of = |at: usize| {
        let is_outside = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
        let (before, behind) = (at.checked_sub(1).and_then(|at| bytes.get(at)), bytes.get(at + 2));
        at > 0 && is_outside(before) && behind.is_some() && is_outside(behind)
    };
    // Quotation marks, dashes and the like stand beside letters.
    let is_odd = |byte: u8| {
        !byte.is_ascii()
            && !matches!(byte, 0x80 | 0x82 | 0x84 | 0x85 | 0x8B | 0x91..=0x97 | 0x99 | 0x9B | 0xA0 | 0xAB | 0xBB)
    };
    let is_row = |(at, pair): (usize, &[u8])| match pair {
        [first, second] if (0x80..=0x9F).contains(first) && (0x80..=0x9F).contains(second) => {
            is_odd(*first) || is_odd(*second)
        }
        [first, second] if is_odd(*first) && is_odd(*second) => {
            let is_small = *first >= 0xE0 && *second >= 0xE0;
            bytes.get(at + 2).is_some_and(|byte| is_odd(*byte)) || is_small && is_word_of(at)
        }
        _ => false,
    };
    bytes.windows(2).enumerate().any(is_row)
}
