//! The character encoding of a file: as configured, or recognised line by line. An uncertain guess is an error.

use std::io::{self, Read};

use encoding_rs::{Encoding as Charset, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

use super::code_pages::{CODE_PAGES, CodePage, Transcoded};
use super::evidence::{has_sharp_s, has_signs, is_foreign, is_windows, may_be_dos};
use crate::intake::cloudevents::Invalid;

/// Part of a file that is examined to recognise its encoding. Units: bytes.
pub(super) const SAMPLE_BYTES: usize = 64 * 1024;

/// The character encoding of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Recognised: UTF-16, UTF-8, or Windows-1252 if a line is not UTF-8.
    #[default]
    Recognised,
    /// A configured encoding of the web.
    Charset(&'static Charset),
    /// A configured DOS code page.
    CodePage(CodePage),
}

impl Encoding {
    /// Returns an encoding by its name, such as `utf-8`, `windows-1252`, `iso-8859-15` or `cp850`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if let Some(page) = CODE_PAGES.into_iter().find(|(known, _)| *known == lower) {
            return Some(Self::CodePage(page));
        }
        let charset = Charset::for_label_no_replacement(lower.as_bytes())?;
        (lower != "x-user-defined").then_some(Self::Charset(charset))
    }

    /// Returns the charset from which a file is decoded as a whole, if it has no byte order mark.
    fn charset(self, sample: &[u8]) -> Option<&'static Charset> {
        match self {
            Self::Charset(charset) if charset != UTF_8 => Some(charset),
            Self::Recognised => utf16(sample),
            Self::Charset(_) | Self::CodePage(_) => None,
        }
    }

    /// Returns true if bytes that are no characters were replaced when the file was decoded as a whole.
    pub(super) fn replaces(self, sample: &[u8]) -> bool {
        let of_mark = Charset::for_bom(sample).is_some_and(|(charset, _)| charset != UTF_8);
        of_mark || self.charset(sample).is_some()
    }

    /// Returns the characters of the bytes from 0x80 on, of a configured encoding with one byte for each, if the file has no byte
    /// order mark.
    fn upper(self, sample: &[u8]) -> Option<Vec<char>> {
        let of_charset = |charset: &'static Charset| {
            let character = |byte: u8| charset.decode_without_bom_handling(&[byte]).0.chars().next();
            charset.is_single_byte().then(|| (0x80..=0xFF).filter_map(character).collect())
        };
        match self {
            _ if Charset::for_bom(sample).is_some() => None,
            Self::Charset(charset) => of_charset(charset),
            Self::CodePage((_, upper)) => Some(upper.chars().collect()),
            Self::Recognised => None,
        }
    }

    /// Returns a configured encoding with several bytes for some characters in which a file of UTF-8 can be read, too, if the file has
    /// no byte order mark.
    fn wide(self, sample: &[u8]) -> Option<&'static Charset> {
        match self {
            Self::Charset(charset) if Charset::for_bom(sample).is_none() => Some(charset)
                .filter(|charset| !charset.is_single_byte() && ![UTF_8, UTF_16LE, UTF_16BE].contains(charset)),
            _ => None,
        }
    }

    /// Returns true if a configured encoding is certainly wrong: as UTF-16 in that order the file has no ASCII character,
    /// so neither a line end nor a delimiter.
    pub(super) fn is_wrong(self, sample: &[u8]) -> bool {
        let low = match self {
            Self::Charset(charset) if charset == UTF_16LE => 0,
            Self::Charset(charset) if charset == UTF_16BE => 1,
            _ => return false,
        };
        let is_ascii = |pair: &[u8]| matches!(pair[low], 1..=0x7F) && pair[1 - low] == 0;
        Charset::for_bom(sample).is_none() && sample.len() > 1 && !sample.chunks_exact(2).any(is_ascii)
    }

    /// Decodes a file to UTF-8, except for lines whose encoding is recognised one by one. A byte order mark at the
    /// beginning of a file takes precedence.
    pub(super) fn decoded<'r>(self, file: impl Read + 'r, sample: &[u8]) -> Box<dyn Read + 'r> {
        if let Self::CodePage(page) = self
            && Charset::for_bom(sample).is_none()
        {
            return Box::new(Transcoded::new(file, page));
        }
        let charset = self.charset(sample);
        let mut decoder = DecodeReaderBytesBuilder::new();
        decoder.encoding(charset).bom_override(true).utf8_passthru(charset.is_none()).strip_bom(true);
        Box::new(decoder.build(file))
    }
}

/// Decodes a file without a configured encoding, if it is UTF-16 or has a byte order mark. The flag is true if bytes that are no
/// characters are replaced by U+FFFD.
///
/// # Errors
/// The system's, if the file cannot be read.
pub fn text_of<'r>(mut file: impl Read + 'r) -> io::Result<(Box<dyn Read + 'r>, bool)> {
    let mut sample = Vec::new();
    file.by_ref().take(SAMPLE_BYTES as u64).read_to_end(&mut sample)?;
    let shown = sample.clone();
    let text = Encoding::Recognised.decoded(io::Cursor::new(sample).chain(file), &shown);
    Ok((text, Encoding::Recognised.replaces(&shown)))
}

/// Recognises UTF-16 without a byte order mark: in usual text every second byte is zero. Zeros in a row are what a
/// power cut leaves.
fn utf16(sample: &[u8]) -> Option<&'static Charset> {
    let is_alone = |at: usize| {
        let is_zero = |at: usize| sample.get(at) == Some(&0);
        is_zero(at) && !is_zero(at + 1) && (at == 0 || !is_zero(at - 1))
    };
    let zeros = |odd: usize| (odd..sample.len()).step_by(2).filter(|at| is_alone(*at)).count();
    let rest = sample.iter().filter(|byte| **byte != 0).count();
    // At least half of the characters are among the first 256.
    let is_wide = |odd: usize| zeros(odd) * 2 > rest && zeros(odd) > 4 * zeros(1 - odd);
    if is_wide(1) {
        return Some(UTF_16LE);
    }
    is_wide(0).then_some(UTF_16BE)
}

/// A file as a whole, from which it is guessed how a line is written.
#[derive(Clone, Copy)]
pub(super) struct Whole<'f> {
    /// Opens it once more.
    pub(super) open: &'f dyn Fn() -> io::Result<Box<dyn Read + 'f>>,
    /// Its length each time it was read before, in that order: a line is read as it was then, whatever was added since.
    pub(super) ends: &'f [u64],
}

impl Whole<'_> {
    /// Returns the length of the file when the byte at `at` was read first; none if that is now.
    fn end(self, at: u64) -> Option<u64> {
        self.ends.iter().copied().find(|end| at < *end)
    }
}

/// A decoder of one line after another.
pub(super) struct Decoder<'f> {
    encoding: Encoding,
    /// True if bytes that are no characters were replaced before.
    is_replaced: bool,
    /// See [`Encoding::upper`].
    upper: Option<Vec<char>>,
    /// A configured encoding with several bytes for some characters, other than UTF-8.
    wide: Option<&'static Charset>,
    whole: Whole<'f>,
    /// Findings in the file up to a length; made when they are needed.
    shown: Option<(Option<u64>, Shown)>,
    /// Offset of the next line. Units: bytes.
    at: u64,
}

impl<'f> Decoder<'f> {
    pub(super) const fn new(encoding: Encoding, whole: Whole<'f>) -> Self {
        Self { encoding, is_replaced: false, upper: None, wide: None, whole, shown: None, at: 0 }
    }

    /// Returns the decoder for a file that begins with a sample.
    pub(super) fn of_file(encoding: Encoding, whole: Whole<'f>, sample: &[u8]) -> Self {
        let (upper, wide) = (encoding.upper(sample), encoding.wide(sample));
        Self { is_replaced: encoding.replaces(sample), upper, wide, ..Self::new(encoding, whole) }
    }

    /// Goes past bytes that are no text.
    pub(super) const fn skip(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// The text of a line, or why it cannot be read for sure. What stands before it was taken or skipped.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Result<String, Invalid> {
        let text = self.decode(bytes);
        self.at += bytes.len() as u64;
        text
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<String, Invalid> {
        if bytes.contains(&0) {
            return Err(Invalid::new("it holds zero bytes, as a power cut leaves them"));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => self.guessed(bytes)?,
        };
        if self.is_replaced && text.contains('\u{fffd}') {
            let words = match self.encoding {
                Encoding::Recognised => "it holds half a character of UTF-16",
                _ => "it holds bytes that are no characters in the encoding of [intake.folder]",
            };
            return Err(Invalid::new(words));
        }
        let was_wide_utf8 = self.wide.is_some_and(|charset| {
            let (bytes, _, is_changed) = charset.encode(&text);
            !text.is_ascii() && !is_changed && !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok()
        });
        if was_wide_utf8 || self.upper.as_ref().is_some_and(|upper| was_utf8(&text, upper)) {
            let words = "it is UTF-8, and encoding in [intake.folder] says another; correct encoding, or remove it";
            return Err(Invalid::new(words));
        }
        Ok(text)
    }

    fn guessed(&mut self, bytes: &[u8]) -> Result<String, Invalid> {
        let invalid = |words: &str| Err(Invalid::new(format!("{words}; set encoding in [intake.folder]")));
        if self.encoding != Encoding::Recognised {
            return invalid("it is not UTF-8");
        }
        let shown = self.shown();
        if has_wide_utf8(bytes) {
            return invalid("it is UTF-8 only in part");
        }
        if shown.is_utf8 {
            return invalid("it is not UTF-8, and others of the file are");
        }
        let needs_others = has_sharp_s(bytes) || has_signs(bytes);
        if may_be_dos(bytes) || (needs_others && !shown.is_windows) {
            return invalid("it is not UTF-8, and may be of Windows or of DOS");
        }
        if shown.may_be_dos {
            return invalid("it is not UTF-8, and others of the file may be of DOS");
        }
        if shown.is_foreign {
            return invalid(
                "it is not UTF-8, and it or others of the file look like another alphabet than the Latin one",
            );
        }
        Ok(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned())
    }

    fn shown(&mut self) -> Shown {
        let end = self.whole.end(self.at);
        match self.shown {
            Some((of, shown)) if of == end => shown,
            _ => {
                // Of a file that cannot be read again, nothing is guessed.
                let doubt = Shown { is_utf8: true, ..Shown::default() };
                let look = |file: Box<dyn Read>| Shown::of(file.take(end.unwrap_or(u64::MAX)));
                let shown = (self.whole.open)().and_then(look).unwrap_or(doubt);
                self.shown = Some((end, shown));
                shown
            }
        }
    }
}

/// The evidence in a file for its encoding.
#[derive(Clone, Copy, Default)]
struct Shown {
    /// The file contains UTF-8 beyond ASCII.
    is_utf8: bool,
    /// A word contains a byte that is a letter only in DOS.
    may_be_dos: bool,
    /// A word contains a byte that is a letter only in Windows.
    is_windows: bool,
    /// There are characters side by side as no text in Windows-1252 has them.
    is_foreign: bool,
}

impl Shown {
    /// Reads a file to its end, or until UTF-8 is found.
    fn of(mut file: impl Read) -> io::Result<Self> {
        const CHUNK: usize = 64 * 1024;
        let (mut shown, mut buffer, mut kept) = (Self::default(), vec![0; CHUNK], 0);
        loop {
            let count = file.read(&mut buffer[kept..])?;
            let end = kept + count;
            // Only whole lines, as far as there are any: what stands in a line says more together.
            let line = buffer[..end].iter().rposition(|byte| *byte == b'\n').filter(|_| count > 0);
            let seen = &buffer[..line.map_or(end, |line| line + 1)];
            shown.is_utf8 |= has_wide_utf8(seen);
            shown.may_be_dos |= may_be_dos(seen);
            shown.is_windows |= is_windows(seen);
            shown.is_foreign |= is_foreign(seen);
            if count == 0 || shown.is_utf8 {
                return Ok(shown);
            }
            // Without a line, a character or a word may be cut here.
            kept = line.map_or(end.min(3), |line| end - line - 1);
            buffer.copy_within(end - kept..end, 0);
        }
    }
}

/// Returns true if the bytes contain a character of UTF-8 beyond ASCII.
fn has_wide_utf8(bytes: &[u8]) -> bool {
    bytes.utf8_chunks().any(|chunk| !chunk.valid().is_ascii())
}

/// Returns true if a text that was decoded by an encoding with one byte for each character is UTF-8 in truth, and not ASCII alone.
fn was_utf8(text: &str, upper: &[char]) -> bool {
    let byte = |next: char| match u8::try_from(next) {
        Ok(byte) if byte.is_ascii() => Some(byte),
        _ => upper.iter().position(|other| *other == next).and_then(|place| u8::try_from(0x80 + place).ok()),
    };
    !text.is_ascii()
        && text.chars().map(byte).collect::<Option<Vec<u8>>>().is_some_and(|bytes| String::from_utf8(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoding: Encoding, file: &[u8], expected: &[Option<&str>]) {
        let owned = file.to_vec();
        let open = || Ok(Box::new(io::Cursor::new(owned.clone())) as Box<dyn Read>);
        check_again(encoding, Whole { open: &open, ends: &[] }, file, expected);
    }

    fn check_again(encoding: Encoding, whole: Whole<'_>, file: &[u8], expected: &[Option<&str>]) {
        let mut decoder = Decoder::new(encoding, whole);
        let mut text = |line| {
            let text = decoder.text(line).ok();
            decoder.skip(1);
            text
        };
        let found: Vec<_> = file.split(|byte| *byte == b'\n').map(&mut text).collect();
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{file:?}");
    }

    #[test]
    fn each_line_is_read_right_or_not_at_all() {
        let guess = Encoding::Recognised;
        check(guess, b"Malm\xC3\xB6\n\xD6rebro", &[Some("Malmö"), None]);
        check(guess, b"Malm\xF6\n\xD6rebro\n5 \x80", &[Some("Malmö"), Some("Örebro"), Some("5 €")]);
        check(guess, b"Malm\x94\nLund", &[None, Some("Lund")]);
        check(guess, b"Malm\x94\nG\xF6teborg\n\xE9", &[None, None, None]);
        check(guess, b"Stra\xE1e\nLund", &[None, Some("Lund")]);
        check(guess, b"m\xE1s\nma\xF1ana", &[Some("más"), Some("mañana")]);
        check(guess, b"s\xC6o", &[None]);
        check(guess, b"\xC5sa, CAF\xC9 20\xF8C", &[None]);
        check(guess, b"\xC5sa, CAF\xC9", &[Some("Åsa, CAFÉ")]);
        check(guess, b"Malm\xC3\xB6 \xD6", &[None]);
        check(guess, b"a\0\0\nb", &[None, Some("b")]);
        check(Encoding::named("utf-8").expect("known"), b"Malm\xF6", &[None]);
    }

    #[test]
    fn another_alphabet_is_not_read_as_windows_1252() {
        let guess = Encoding::Recognised;
        // Cyrillic in windows-1251 and KOI8-R, and Japanese in Shift-JIS: Москва, на, 東京, カード.
        check(guess, b"1;\xCC\xEE\xF1\xEA\xE2\xE0\n2;Lund", &[None, Some("2;Lund")]);
        check(guess, b"1;\xED\xE0;\n2;\xE2", &[None, None]);
        check(guess, b"1;\xED\xCF\xD3\xCB\xD7\xC1", &[None]);
        check(guess, b"1;\x93\x8C\x8B\x9E", &[None]);
        check(guess, b"1;\x82\xD0\x82\xE7\x82\xAA\x82\xC8", &[None]);
        check(guess, b"1;\x83J\x81[\x83h", &[None]);
        check(guess, b"1;cr\xE9\xE9e;\xC0 20 \x80", &[Some("1;créée;À 20 €")]);
    }

    #[test]
    fn one_letter_alone_needs_a_line_that_shows_what_it_is() {
        let guess = Encoding::Recognised;
        // Я, в and № of windows-1251; é, à and ö of DOS; Ö of Windows.
        for line in [b"1;a \xDF b".as_slice(), b"1;\xE2;2", b"1;\xB9 5", b"1;\x82", b"5 \x85 7", b"1;\x94;", b"1;\xD6"]
        {
            check(guess, line, &[None]);
        }
        let read = ["Köln", "1;Ö", "5 à 7", "…"];
        check(guess, b"K\xF6ln\n1;\xD6\n5 \xE0 7\n\x85", &read.map(Some));
        let signs = ["5 €", "25 °C", "§ 5", "2 – 3", "n° 5", "«x»", "1º"];
        check(guess, b"5 \x80\n25 \xB0C\n\xA7 5\n2 \x96 3\nn\xB0 5\n\xABx\xBB\n1\xBA", &signs.map(Some));
        // As UTF-8, these are the quote 0x93 and one letter.
        check(guess, b"\x93\xD6\x94", &[None]);
    }

    #[test]
    fn text_of_windows_1252_is_read_with_its_signs() {
        let guess = Encoding::Recognised;
        let german = b"K\xF6ln\nStra\xDFe\n\x84\xD6l\x93 5 \x80\n\x84\xDCber uns\x93";
        check(guess, german, &[Some("Köln"), Some("Straße"), Some("„Öl“ 5 €"), Some("„Über uns“")]);
        let french = b"No\xEBl\nl\x92\xE9t\xE9\nCaf\xE9\nc\x9Cur\nd\x92accord\nVoil\xE0\x85\n5\xA0kg";
        let read = ["Noël", "l’été", "Café", "cœur", "d’accord", "Voilà…", "5\u{a0}kg"];
        check(guess, french, &read.map(Some));
        let others = b"Malm\xF6\n\xC5sa \xD6berg (\xC5\xD6)\nH\xE4agen-Dazs\x99\nDon\x92t\n\x8Akoda\n\x94Hej\x94";
        let read = ["Malmö", "Åsa Öberg (ÅÖ)", "Häagen-Dazs™", "Don’t", "Škoda", "”Hej”"];
        check(guess, others, &read.map(Some));
        // Without a sure letter of Windows in the file they may be letters of DOS, and a half of a pair is one.
        check(guess, b"\x84ppel och \x94l\x94", &[None]);
        check(guess, b"Malm\xF6\nMalm\x94", &[None, None]);
        check(guess, b"KJ\x92R", &[None]);
    }

    #[test]
    fn what_dos_and_macintosh_write_is_not_read_as_windows_1252() {
        let guess = Encoding::Recognised;
        for line in [
            // São, °C, ½, Nº, ¢, m³, cm², ±, µm of DOS.
            b"S\xC6o Paulo".as_slice(),
            b"20 \xF8C",
            b"20\xF8C",
            b"\xAB Liter",
            b"N\xA7 5",
            b"5 \xBD",
            b"5 m\xFC",
            b"5 cm\xFD;x",
            b"10\xF15",
            b"5 \xE6m",
            b"\xAC l",
            // NÃO, PÃO, Ítalo, Á, À, Última, CÓDIGO, PERÚ, limões of DOS.
            b"N\xC7O",
            b"P\xC7O",
            b"\xD6talo",
            b"\xB5",
            b"\xB7",
            b"\xE9ltima",
            b"C\xE0DIGO",
            b"PER\xE9",
            b"lim\xE4es",
            // А of cp866 and ñ of Macintosh alone.
            b"\x80",
            b"x;\x96",
            // København, Straße, Fuß, Ægir, kø, øl of Macintosh.
            b"K\xBFbenhavn",
            b"Stra\xA7e",
            b"Fu\xA7",
            b"\xAEgir",
            b"k\xBF",
            b"\xBFl",
            b"don\xD5t",
            // да in cp866, KOI8-R and ISO-8859-5; на in cp866; 雪 in EUC-JP; 茶 in EUC-KR.
            b"1;\xA4\xA0",
            b"1;\xC4\xC1",
            b"1;\xD4\xD0",
            b"1;\xAD\xA0",
            b"1;\xC0\xE3",
            b"1;\xD2\xFE",
        ] {
            check(guess, line, &[None]);
            check(guess, &[line, b"\n"].concat(), &[None, Some("")]);
        }
        // Such words and signs are read beside others that only Windows has.
        let read = ["M\u{fc}ller", "m\u{e5}", "5 m\u{fc}", "\u{bd} l", "10 m\u{b2}", "\u{bf}Qui\u{e9}n?"];
        check(guess, b"M\xFCller\nm\xE5\n5 m\xFC\n\xBD l\n10 m\xB2\n\xBFQui\xE9n?", &read.map(Some));
        check(guess, b"Malm\xF6\np\xE5", &[Some("Malmö"), Some("på")]);
        check(guess, b"Erd\xE4pfel und K\xFCrbis", &[Some("Erdäpfel und Kürbis")]);
        let read = ["¡Hola!", "Örebro", "été", "PÃO", "5 µm", "Última", "På"];
        check(guess, b"\xA1Hola!\n\xD6rebro\n\xE9t\xE9\nP\xC3O\n5 \xB5m\n\xDAltima\nP\xE5", &read.map(Some));
    }

    #[test]
    fn utf8_under_another_encoding_is_an_error() {
        let check = |name: &str, line: &[u8], expected: Option<&str>| {
            let encoding = Encoding::named(name).expect("known");
            let open = || Ok(Box::new(line) as Box<dyn Read>);
            let mut text = Vec::new();
            encoding.decoded(line, line).read_to_end(&mut text).expect("memory can be read");
            let found = Decoder::of_file(encoding, Whole { open: &open, ends: &[] }, line).text(&text);
            assert_eq!(found.ok().as_deref(), expected, "{name} {line:?}");
        };
        for name in ["cp850", "windows-1252", "iso-8859-15", "windows-1251"] {
            check(name, "Malmö".as_bytes(), None);
            check(name, b"Lund", Some("Lund"));
        }
        for (name, text) in [
            ("shift_jis", "\u{ff76}\u{ff70}\u{ff84}\u{ff9e} Malmö"),
            ("gbk", "雪茶"),
            ("euc-kr", "서울"),
            ("big5", "雪"),
            ("euc-jp", "ö"),
        ] {
            check(name, text.as_bytes(), None);
        }
        check("shift_jis", b"\x83J\x81[\x83h \xB6\xB0", Some("カード ｶｰ"));
        check("gbk", b"\xC4\xE3\xBA\xC3", Some("你好"));
        check("cp850", b"Malm\x94", Some("Malmö"));
        check("windows-1252", b"Malm\xF6 CAF\xC9", Some("Malmö CAFÉ"));
        check("windows-1251", b"\xCC\xEE\xF1\xEA\xE2\xE0", Some("Москва"));
        check("utf-8", "Malmö".as_bytes(), Some("Malmö"));
        check("cp850", "\u{feff}Malmö".as_bytes(), Some("Malmö"));
    }

    #[test]
    fn a_line_is_read_as_it_was_before_the_file_grew() {
        let file = b"Malm\xF6\nG\xF6teborg\nMalm\xC3\xB6\n\xD6rebro";
        let open = || Ok(Box::new(file.as_slice()) as Box<dyn Read>);
        let whole = Whole { open: &open, ends: &[6, 15] };
        check_again(Encoding::Recognised, whole, file, &[Some("Malmö"), Some("Göteborg"), Some("Malmö"), None]);
    }

    #[test]
    fn names_of_encodings_are_known() {
        for name in ["utf-8", "UTF-16", "windows-1252", "windows-1250", "iso-8859-15", "cp850", "CP437", "shift_jis"] {
            assert!(Encoding::named(name).is_some(), "{name}");
        }
        for name in ["", "latin", "cp999", "x-user-defined"] {
            assert!(Encoding::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_no_utf16() {
        let zero_tail = [b"{\"a\":1}\n".to_vec(), vec![0; 4_096]].concat();
        assert_eq!(utf16(&zero_tail), None);
        assert_eq!(utf16(b"a\0b\0\n\0"), Some(UTF_16LE));
        assert_eq!(utf16(b"\0a\0b\0\n"), Some(UTF_16BE));
        assert_eq!(utf16(b"ab"), None);
    }

    #[test]
    fn a_character_of_utf8_is_found_wherever_a_chunk_ends() {
        for before in 65_530..65_540 {
            let file = ["x".repeat(before), "ö".to_owned(), "y".repeat(70_000)].concat();
            assert!(Shown::of(file.as_bytes()).expect("memory can be read").is_utf8, "{before}");
            let file = [vec![b'x'; before], b"\x94".to_vec(), vec![b'y'; 70_000]].concat();
            assert!(Shown::of(&file[..]).expect("memory can be read").may_be_dos, "{before}");
        }
        let plain = Shown::of("x".repeat(200_000).as_bytes()).expect("memory can be read");
        assert!(!plain.is_utf8 && !plain.may_be_dos && !plain.is_windows);
    }
}
