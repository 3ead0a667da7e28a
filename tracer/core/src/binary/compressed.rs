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
    budget.take(size)?;
    let output = match compression {
        Compression::Zlib => read_exactly(flate2::bufread::ZlibDecoder::new(input), input, size)?,
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

    #[test]
    fn all_sections_of_a_file_share_one_budget() {
        let budget = Budget::new();
        assert!(budget.take(OUTPUT_BYTES_MAX - 10).is_ok());
        let error = decompress(Compression::Zlib, &zlib(&[0; 100]), 100, &budget).unwrap_err();
        assert!(error.contains("10 are left"), "{error}");
    }
}
