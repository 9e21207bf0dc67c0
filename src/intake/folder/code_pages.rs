//! DOS code pages, which tills still write: the characters of the bytes from 0x80 on. Source: Unicode's mapping tables
//! for IBM PC code pages.

use std::io::{self, Read};

/// A code page: its name in the configuration, and the characters of its bytes from 0x80 on.
pub(super) type CodePage = (&'static str, &'static str);

/// All code pages that can be configured.
pub(super) const CODE_PAGES: [CodePage; 5] = [
    (
        "cp437",
        "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
    ),
    (
        "cp850",
        "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}",
    ),
    (
        "cp852",
        "ÇüéâäůćçłëŐőîŹÄĆÉĹĺôöĽľŚśÖÜŤťŁ×čáíóúĄąŽžĘę¬źČş«»░▒▓│┤ÁÂĚŞ╣║╗╝Żż┐└┴┬├─┼Ăă╚╔╩╦╠═╬¤đĐĎËďŇÍÎě┘┌█▄ŢŮ▀ÓßÔŃńňŠšŔÚŕŰýÝţ´\u{ad}˝˛ˇ˘§÷¸°¨˙űŘř■\u{a0}",
    ),
    (
        "cp858",
        "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈ€ÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}",
    ),
    (
        "cp865",
        "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø₧ƒáíóúñÑªº¿⌐¬½¼¡«¤░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
    ),
];

/// Part that is read at once. Units: bytes.
const CHUNK: usize = 8 * 1024;

/// A reader that converts a code page to UTF-8.
pub(super) struct Transcoded<R> {
    inner: R,
    upper: Vec<char>,
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Transcoded<R> {
    pub(super) fn new(inner: R, (_, upper): CodePage) -> Self {
        Self { inner, upper: upper.chars().collect(), text: Vec::new(), given: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let count = self.inner.read(&mut chunk)?;
        self.text.clear();
        self.given = 0;
        for byte in &chunk[..count] {
            let next = match byte.checked_sub(0x80) {
                None => char::from(*byte),
                Some(place) => self.upper[usize::from(place)],
            };
            self.text.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.text.len() {
            self.refill()?;
        }
        let rest = &self.text[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_page_has_a_character_for_each_byte() {
        for page in CODE_PAGES {
            assert_eq!(page.1.chars().count(), 128, "{}", page.0);
        }
        let mut text = String::new();
        Transcoded::new(&b"Malm\x94 \x80"[..], CODE_PAGES[1]).read_to_string(&mut text).expect("memory can be read");
        assert_eq!(text, "Malmö Ç");
    }
}
