//! Points in time as RFC 3339 in UTC.

use crate::escape::Escaped;

const DAY_MS: i128 = 24 * 60 * 60 * 1000;
/// Days of a 400-year cycle of the Gregorian calendar.
const CYCLE_DAYS: i128 = 146_097;

/// `2026-01-31T12:34:56.789Z`. Years beyond 9999 and before 0 have no RFC 3339 form: they are
/// shown as nanoseconds.
pub(crate) fn utc(unix_ns: i128) -> Escaped {
    let unix_ms = unix_ns.div_euclid(1_000_000);
    let (days, ms) = (unix_ms.div_euclid(DAY_MS), unix_ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    if !(0..=9999).contains(&year) {
        return Escaped::name(&format!("{unix_ns} ns since 1970"));
    }
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    Escaped::name(&format!(
        "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z",
        ms % 1000
    ))
}

/// Year, month and day of the month of the day that is `days` after 1970-01-01.
fn date(days: i128) -> (i128, u32, u32) {
    // 1970-01-01 is day 135 140 of the cycle that starts with 1600-01-01.
    let since_1600 = days + 135_140;
    let mut year = 1600 + since_1600.div_euclid(CYCLE_DAYS) * 400;
    let mut left = since_1600.rem_euclid(CYCLE_DAYS);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, u32::try_from(left).unwrap_or(0) + 1)
}

fn is_leap(year: i128) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times_read_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_704_067_199, "2023-12-31T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600, "2025-01-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(utc(seconds * 1_000_000_000).as_str(), text);
        }
        assert_eq!(utc(1_234_567_890_123_999_999).as_str(), "2009-02-13T23:31:30.123Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(-200_000);
        for days in -199_999..200_000 {
            let (year, month, day) = date(days);
            let follows = (year, month, day) == (before.0, before.1, before.2 + 1)
                || (year, month, day) == (before.0, before.1 + 1, 1)
                || (year, month, day) == (before.0 + 1, 1, 1) && before.1 == 12 && before.2 == 31;
            assert!(follows, "{before:?} then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }

    #[test]
    fn absurd_times_do_not_break_it() {
        for time in [i128::MIN, i128::MAX, i128::from(i64::MAX) * 1000] {
            assert!(utc(time).as_str().ends_with(" ns since 1970"));
        }
    }
}
