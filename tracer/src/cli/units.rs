//! Sizes, durations and counts as people type them.

use super::Listen;
use crate::api::probes::{BUDGET_PERCENT_MAX, BUDGET_PERCENT_MIN, LEARN_MS_MAX, RETRY_MS_MIN};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;
use tracer_core::model::budget::Budgets;

/// The longest time that a probe may wait: what is forgotten must expire.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest time between two placings of a probe.
const RETRY_MIN: Duration = Duration::from_millis(RETRY_MS_MIN);

/// Bytes: `4096`, `16k`, `64KiB`, `1M`, `8MiB`. The units are powers of 1024.
///
/// # Errors
/// A sentence for the user, if `text` is no size or not in `range`.
pub(crate) fn size(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    let (digits, unit) = split_unit(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        _ => return Err(format!("`{unit}` is no unit of size: write 4096, 16k, 64KiB or 1MiB")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a size: write 4096, 16k, 64KiB or 1MiB".to_owned())?;
    number
        .checked_mul(factor)
        .and_then(|bytes| u32::try_from(bytes).ok())
        .filter(|bytes| range.contains(bytes))
        .ok_or_else(|| {
            format!("must be from {} to {}", bytes_text(*range.start()), bytes_text(*range.end()))
        })
}

/// A time: `500ms`, `10s`, `2m`, `1h`; a bare number is seconds.
///
/// # Errors
/// A sentence for the user, if `text` is no time, zero or longer than a day.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_unit(text);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return Err(format!("`{unit}` is no unit of time: write 500ms, 10s, 2m or 1h")),
    };
    let number: u64 =
        digits.parse().map_err(|_| "not a time: write 500ms, 10s, 2m or 1h".to_owned())?;
    number
        .checked_mul(unit_ms)
        .map(Duration::from_millis)
        .filter(|time| !time.is_zero() && *time <= TIMEOUT_MAX)
        .ok_or_else(|| "must be from 1ms to 24h".to_owned())
}

/// A time to learn in, as [`duration`] reads it; zero is for not at all.
///
/// # Errors
/// A sentence for the user, if `text` is no time or longer than ten seconds.
pub(crate) fn learning(text: &str) -> Result<Duration, String> {
    const MOST: Duration = Duration::from_millis(LEARN_MS_MAX);
    let (digits, _) = split_unit(text);
    if digits.parse() == Ok(0) {
        return Ok(Duration::ZERO);
    }
    let time = duration(text)?;
    (time <= MOST).then_some(time).ok_or_else(|| "must be from 0s to 10s".to_owned())
}

/// A time after which a probe comes back. Placing breakpoints takes locks of the target, so that is not
/// done more often than once a second.
///
/// # Errors
/// As for [`duration`].
pub(crate) fn retry(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    (time >= RETRY_MIN).then_some(time).ok_or_else(|| "must be from 1s to 24h".to_owned())
}

/// What a probe may cost, in percent of a core.
///
/// # Errors
/// A sentence for the user, if `text` is no number or not in range.
pub(crate) fn budget(text: &str) -> Result<f64, String> {
    percent(text, BUDGET_PERCENT_MAX)
}

/// What all probes of a process or a node may cost, in percent of a core.
///
/// # Errors
/// As for [`budget`].
pub(crate) fn shared_budget(text: &str) -> Result<f64, String> {
    percent(text, Budgets::PERCENT_MAX)
}

fn percent(text: &str, most: f64) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let number: f64 = number.parse().map_err(|_| "not a number: write 1 or 0.5".to_owned())?;
    let range = BUDGET_PERCENT_MIN..=most;
    range.contains(&number).then_some(number).ok_or_else(|| {
        format!("must be from {} to {} percent of a core", range.start(), range.end())
    })
}

/// A whole number.
///
/// # Errors
/// A sentence for the user, if `text` is no number or not in `range`.
pub(crate) fn count(text: &str, range: RangeInclusive<u32>) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// An address to listen at: `127.0.0.1:9464`, `[::1]:9464`, `off`. A cluster puts an address of
/// version 6 in front of the port without brackets.
///
/// # Errors
/// A sentence for the user, if `text` is no address with a port.
pub(crate) fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    let bare = || {
        let (ip, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
    };
    let wrong = || "not an address: write 127.0.0.1:9464, [::1]:9464 or off".to_owned();
    text.parse().ok().or_else(bare).map(|address| Listen(Some(address))).ok_or_else(wrong)
}

/// Bytes as people write them: `64KiB`, `1000`.
pub(crate) fn bytes_text(bytes: u32) -> String {
    const KIB: u32 = 1 << 10;
    const MIB: u32 = 1 << 20;
    match bytes {
        0 => "0".to_owned(),
        _ if bytes.is_multiple_of(MIB) => format!("{}MiB", bytes / MIB),
        _ if bytes.is_multiple_of(KIB) => format!("{}KiB", bytes / KIB),
        _ => bytes.to_string(),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_binary_units() {
        let any = |text| size(text, 0..=u32::MAX);
        assert_eq!(any("4096"), Ok(4096));
        assert_eq!(any("100B"), Ok(100));
        for text in ["16k", "16K", "16KiB", "16kib"] {
            assert_eq!(any(text), Ok(16 * 1024), "{text}");
        }
        assert_eq!(any("2M"), Ok(2 * 1024 * 1024));
        assert_eq!(any("1MiB"), Ok(1024 * 1024));
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in ["", "k", "-1", "+1", "1.5k", "16KB", "16 k", "0x10", "1G", "١"] {
            let message = size(text, 0..=u32::MAX).unwrap_err();
            assert!(message.contains("64KiB"), "{text}: {message}");
        }
    }

    #[test]
    fn sizes_out_of_range_say_the_range() {
        for text in ["0", "65k", "99999999999999999999M", "18446744073709551615k"] {
            let message = size(text, 1..=64 * 1024).unwrap_err();
            assert!(message.contains("64KiB"), "{text}: {message}");
        }
        assert_eq!(size("64k", 1..=64 * 1024), Ok(64 * 1024));
    }

    #[test]
    fn durations_take_units_and_bare_seconds() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
    }

    #[test]
    fn a_wait_is_never_endless_or_empty() {
        for text in ["0", "0s", "25h", "18446744073709551615h", "forever", "1d", "", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_port_or_are_off() {
        assert_eq!(listen("off"), Ok(Listen(None)));
        assert_eq!(listen("[::1]:80"), Ok(Listen("[::1]:80".parse().ok())));
        assert_eq!(listen("fd00::7:80"), Ok(Listen("[fd00::7]:80".parse().ok())));
        for text in ["", "9464", "127.0.0.1", "localhost:9464", "127.0.0.1:99999"] {
            assert!(listen(text).unwrap_err().contains("127.0.0.1:9464"), "{text}");
        }
    }

    #[test]
    fn counts_say_their_range() {
        assert_eq!(count("64", 0..=64), Ok(64));
        for text in ["65", "-1", "x", "", "4294967296"] {
            assert!(count(text, 0..=64).unwrap_err().contains("from 0 to 64"), "{text}");
        }
    }
}
