//! Rates, times and shares in words.

/// `1.2 M/s`, `300/s`, `0.5/s`.
pub fn rate(per_second: f64) -> String {
    match per_second {
        1e6.. => format!("{} M/s", short(per_second / 1e6)),
        1e4.. => format!("{} k/s", short(per_second / 1e3)),
        _ => format!("{}/s", short(per_second)),
    }
}

/// `0.7 µs`, `25 µs`, `1.5 ms`.
pub fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        1e6.. => format!("{} ms", short(nanoseconds / 1e6)),
        _ => format!("{} µs", short(nanoseconds / 1e3)),
    }
}

/// A part of one, in percent: `84 %`, `0.08 %`.
pub fn share(part: f64) -> String {
    let percent = part * 100.0;
    match percent {
        0.1.. => format!("{} %", short(percent)),
        0.005.. => format!("{percent:.2} %"),
        _ if percent > 0.0 => "less than 0.01 %".to_owned(),
        _ => "0 %".to_owned(),
    }
}

/// Two digits, and whole numbers as they are.
fn short(number: f64) -> String {
    let text = if number < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") };
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        let rates = [0.0, 0.5, 300.0, 9_999.0, 12_000.0, 1_234_567.0, 400e6].map(rate);
        assert_eq!(rates, ["0/s", "0.5/s", "300/s", "9999/s", "12 k/s", "1.2 M/s", "400 M/s"]);
        assert_eq!(
            [70.0, 700.0, 25_400.0, 1.5e6].map(time),
            ["0.1 µs", "0.7 µs", "25 µs", "1.5 ms"]
        );
        let shares = [0.0, 0.000_01, 0.0008, 0.012, 0.84].map(share);
        assert_eq!(shares, ["0 %", "less than 0.01 %", "0.08 %", "1.2 %", "84 %"]);
    }
}
