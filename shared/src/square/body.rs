//! Receives an answer's body, counted and unpacked.
//!
//! reqwest could unpack gzip itself, but then tells neither how much came over
//! the wire nor a cut body from a wrong one. So it is done here, chunk by chunk:
//! memory holds the unpacked body once.

use std::io::Write;
use std::sync::atomic::AtomicU64;

use flate2::write::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};

use super::counters::add;
use super::refusal::{Failure, describe_transport};

/// The largest unpacked body that is accepted. A page of 1,000 objects has a few
/// megabytes; this stops a body that would fill the memory.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// A whole body.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// Whether HTTP says where the body ends. If not, a cut body looks whole.
    pub(super) has_known_end: bool,
}

/// Reads the body of `response` and adds its bytes on the wire to `received`.
pub(super) async fn read(
    mut response: reqwest::Response,
    received: &AtomicU64,
) -> Result<Body, Failure> {
    let headers = response.headers();
    let has_known_end =
        headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let mut sink = Sink::for_encoding(headers)?;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                add(received, u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                sink.write(&chunk)?;
            }
            Ok(None) => break,
            Err(error) => return Err(describe_transport(&error)),
        }
    }
    Ok(Body {
        bytes: sink.finish()?,
        has_known_end,
    })
}

/// The destination of the chunks.
enum Sink {
    Plain(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Sink {
    fn for_encoding(headers: &HeaderMap) -> Result<Self, Failure> {
        let encoding = headers
            .get(CONTENT_ENCODING)
            .map(|value| value.as_bytes().to_ascii_lowercase());
        match encoding.as_deref() {
            None | Some(b"" | b"identity") => Ok(Self::Plain(Vec::new())),
            Some(b"gzip" | b"x-gzip") => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            Some(_) => Err(Failure::malformed(
                "the body is packed in a way that was not asked for (only gzip was)",
            )),
        }
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let length = match self {
            Self::Plain(bytes) => {
                bytes.extend_from_slice(chunk);
                bytes.len()
            }
            Self::Gzip(decoder) => {
                decoder.write_all(chunk).map_err(|_| damaged())?;
                decoder.get_ref().len()
            }
        };
        if length > BODY_BYTES_MAX {
            return Err(Failure::malformed(format!(
                "the body is larger than {BODY_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Plain(bytes) => Ok(bytes),
            Self::Gzip(decoder) => decoder.finish().map_err(|_| damaged()),
        }
    }
}

/// A gzip stream without its end or with a wrong checksum was damaged on the way.
fn damaged() -> Failure {
    Failure::unavailable("the answer was cut off or damaged on its way")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use reqwest::header::HeaderValue;

    use super::*;

    fn gzip_sink() -> Sink {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("GZip"));
        Sink::for_encoding(&headers).unwrap_or_else(|_| panic!("gzip is known"))
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_over_chunk_borders() {
        let text = "a page ".repeat(10_000);
        let mut sink = gzip_sink();
        for chunk in packed(&text).chunks(7) {
            assert!(sink.write(chunk).is_ok());
        }
        assert_eq!(sink.finish().unwrap_or_default(), text.as_bytes());
    }

    #[test]
    fn a_gzip_stream_cut_anywhere_is_a_failure() {
        let whole = packed("{\"objects\":[]}");
        for length in 0..whole.len() {
            let mut sink = gzip_sink();
            let outcome = sink.write(&whole[..length]).and_then(|()| sink.finish());
            assert!(
                matches!(outcome, Err(Failure::Unavailable { .. })),
                "cut after {length} of {} bytes",
                whole.len()
            );
        }
    }

    #[test]
    fn an_unknown_packing_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        let outcome = Sink::for_encoding(&headers);
        assert!(matches!(outcome, Err(Failure::Malformed { .. })));
    }
}
