//! Compressed sections, read with a bound on what comes out.
//!
//! A section of a few hundred bytes can claim and produce gigabytes, so the output is compared
//! with the declared size while it grows, and all sections of a file share one budget.

use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that the compressed sections of one file may grow to together.
const OUTPUT_BYTES_MAX: u64 = 1 << 30;
/// Bytes reserved at once for each byte of input; real sections grow about threefold.
const RESERVE_RATIO: u64 = 8;
/// Bytes of output for each byte of input; the best of real sections come near 30.
const RATIO_MAX: u64 = 64;
/// An output of so many bytes is no bomb, whatever the ratio.
const HARMLESS_BYTES: u64 = 1 << 20;
/// The furthest that Zstandard may look back where the output is shorter (`zstd -19`).
const WINDOW_BYTES: u64 = 8 << 20;

/// Memory for the dictionary of xz; its highest preset takes 64 MiB.
const XZ_MEMORY_KIB: u32 = 72 << 10;
/// Bytes that an xz stream may grow to: it does not declare them before.
const XZ_OUTPUT_BYTES_MAX: u64 = 64 << 20;

/// How a section is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Compression {
    /// zlib (ELFCOMPRESS_ZLIB, `.zdebug_*`).
    Zlib,
    /// Zstandard (ELFCOMPRESS_ZSTD).
    Zstd,
}

/// What one file may still decompress.
#[derive(Debug)]
pub(super) struct Budget(AtomicU64);

impl Budget {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(OUTPUT_BYTES_MAX))
    }

    fn take(&self, bytes: u64) -> Result<(), String> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .map(|_| ())
            .map_err(|left| format!("declares {bytes} bytes, {left} are left of the limit"))
    }
}

/// Decompresses `input` to exactly `size` bytes.
///
/// # Errors
///
/// Why not: the budget, a size that is not the declared one, malformed data, memory.
pub(super) fn decompress(
    compression: Compression,
    input: &[u8],
    size: u64,
    budget: &Budget,
) -> Result<Box<[u8]>, String> {
    if size > (input.len() as u64).saturating_mul(RATIO_MAX).max(HARMLESS_BYTES) {
        let input = input.len();
        return Err(format!("declares {size} bytes in {input} compressed ones; no real one does"));
    }
    budget.take(size)?;
    let output = match compression {
        Compression::Zlib => read_exactly(flate2::bufread::ZlibDecoder::new(input), input, size)?,
        Compression::Zstd if zstd_window(input).is_none_or(|w| w > size.max(WINDOW_BYTES)) => {
            return Err("needs more memory than its declared size".to_owned());
        }
        Compression::Zstd => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(input)
                .map_err(|error| error.to_string())?;
            read_exactly(decoder, input, size)?
        }
    };
    Ok(output.into_boxed_slice())
}

/// Decompresses an xz stream (`.gnu_debugdata`).
///
/// # Errors
///
/// Why not: the limits, malformed data.
pub(super) fn unxz(input: &[u8]) -> Result<Vec<u8>, String> {
    let decoder = lzma_rust2::XzReader::new_mem_limit(input, false, XZ_MEMORY_KIB);
    let mut output = Vec::new();
    decoder
        .take(XZ_OUTPUT_BYTES_MAX + 1)
        .read_to_end(&mut output)
        .map_err(|error| error.to_string())?;
    if output.len() as u64 > XZ_OUTPUT_BYTES_MAX {
        return Err(format!("grows to more than {XZ_OUTPUT_BYTES_MAX} bytes"));
    }
    Ok(output)
}

/// Bytes that a decoder of Zstandard keeps, as the head of the frame tells (RFC 8878, 3.1.1.1):
/// it allocates them before it gives the first byte. `None` where there is no such head.
fn zstd_window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    if descriptor & 0x20 == 0 {
        let window = *frame.get(5)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // The whole content is the window; the identity of a dictionary stands before its size.
    let start = 5 + [0, 1, 2, 4].get(usize::from(descriptor & 3))?;
    let length: usize = 1 << (descriptor >> 6);
    let size = frame.get(start..start + length)?.iter().rev();
    let size = size.fold(0, |size, byte| size << 8 | u64::from(*byte));
    Some(if length == 2 { size + 256 } else { size })
}

fn read_exactly(decoder: impl Read, input: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let reserve = size.min((input.len() as u64).saturating_mul(RESERVE_RATIO));
    let mut output = Vec::new();
    usize::try_from(reserve)
        .ok()
        .and_then(|bytes| output.try_reserve_exact(bytes).ok())
        .ok_or_else(|| format!("no memory for {reserve} bytes"))?;
    // One byte more than declared tells a longer output without producing it.
    decoder
        .take(size.saturating_add(1))
        .read_to_end(&mut output)
        .map_err(|error| error.to_string())?;
    if output.len() as u64 == size {
        Ok(output)
    } else {
        Err(format!("does not decompress to the declared {size} bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn the_bytes_come_back() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (how, input) in [(Compression::Zlib, zlib(&bytes)), (Compression::Zstd, zstd(&bytes))] {
            let output = decompress(how, &input, bytes.len() as u64, &Budget::new());
            assert!(*output.unwrap() == *bytes, "{how:?}");
        }
    }

    #[test]
    fn an_output_of_another_size_than_declared_is_refused() {
        let bytes = vec![0; 1 << 20];
        for (how, input) in [(Compression::Zlib, zlib(&bytes)), (Compression::Zstd, zstd(&bytes))] {
            for size in [64, bytes.len() as u64 - 1, bytes.len() as u64 + 1] {
                assert!(decompress(how, &input, size, &Budget::new()).is_err(), "{how:?} {size}");
            }
            let half = &input[..input.len() / 2];
            assert!(decompress(how, half, bytes.len() as u64, &Budget::new()).is_err(), "{how:?}");
        }
    }

    /// A frame whose blocks are one byte, repeated; HOST-1.
    fn zstd_zeros(size: u64) -> Vec<u8> {
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xe0];
        frame.extend(size.to_le_bytes());
        for block in (0..size).step_by(128 << 10) {
            let length = (size - block).min(128 << 10) as u32;
            let last = u32::from(block + u64::from(length) == size);
            frame.extend(&(last | 2 | length << 3).to_le_bytes()[..3]);
            frame.push(0);
        }
        frame
    }

    #[test]
    fn a_small_input_does_not_unfold_to_gigabytes() {
        let small = zstd_zeros(1 << 20);
        let output = decompress(Compression::Zstd, &small, 1 << 20, &Budget::new()).unwrap();
        assert!(output.len() == 1 << 20 && output.iter().all(|byte| *byte == 0));
        let bomb = zstd_zeros(1 << 30);
        for size in [64, 1 << 20, 1 << 22, 1 << 30] {
            let error = decompress(Compression::Zstd, &bomb, size, &Budget::new()).unwrap_err();
            assert!(error.contains("memory") || error.contains("no real one"), "{error}");
        }
    }

    #[test]
    fn all_sections_of_a_file_share_one_budget() {
        let budget = Budget::new();
        assert!(budget.take(OUTPUT_BYTES_MAX - 10).is_ok());
        let error = decompress(Compression::Zlib, &zlib(&[0; 100]), 100, &budget).unwrap_err();
        assert!(error.contains("10 are left"), "{error}");
    }
}
