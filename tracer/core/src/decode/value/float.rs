//! x87 extended precision, which Rust has no type for, as decimal text.
//!
//! The text is the shortest that is nearer to the number than to any other of its format, so
//! reading it back gives the same number (the free-format algorithm of Steele and White).

use std::cmp::Ordering;

/// Bits of an x87 number's significand, the integer bit included.
const PRECISION: u32 = 64;
/// The largest exponent field: infinities and NaN.
const EXPONENT_MAX: u32 = 0x7fff;
/// What the exponent field has on top of the exponent.
const BIAS: i32 = 0x3fff;

/// The lowest 80 bits as a number (Intel SDM volume 1, 4.2.2): `0.1`, `-1.5e-4932`, `inf`, `NaN`;
/// `None` where the integer bit is missing, for the processor takes that for no number.
pub(super) fn x87(bits: u128) -> Option<String> {
    let significand = bits as u64;
    let exponent = (bits >> PRECISION) as u32 & EXPONENT_MAX;
    let sign = if bits >> 79 & 1 == 1 { "-" } else { "" };
    let integer_bit = 1 << (PRECISION - 1);
    if exponent != 0 && significand & integer_bit == 0 {
        return None;
    }
    if exponent == EXPONENT_MAX {
        let is_infinite = significand == integer_bit;
        return Some(if is_infinite { format!("{sign}inf") } else { "NaN".to_owned() });
    }
    if significand == 0 {
        return Some(format!("{sign}0"));
    }
    let power = exponent.max(1) as i32 - BIAS - (PRECISION as i32 - 1);
    // Below a power of two the numbers lie twice as close, except next to the denormal ones.
    let boundary = significand == integer_bit && exponent > 1;
    Some(format!("{sign}{}", decimal(significand, power, boundary)))
}

/// `mantissa` × 2^`power`, not 0. At a `boundary` the next smaller number is half as far away as
/// the next larger one.
fn decimal(mantissa: u64, power: i32, boundary: bool) -> String {
    let (digits, exponent) = shortest(mantissa, power, boundary);
    write(&digits, exponent)
}

/// Digits d1 d2 … and e, so that the number is d1.d2… × 10^e.
fn write(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    match usize::try_from(exponent) {
        Ok(whole) if whole < 21 => match rest.split_at_checked(whole) {
            Some((whole, "")) => format!("{first}{whole}"),
            Some((whole, fraction)) => format!("{first}{whole}.{fraction}"),
            None => format!("{first}{rest:0<whole$}"),
        },
        Err(_) if exponent > -6 => {
            format!("0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1))
        }
        _ if rest.is_empty() => format!("{first}e{exponent}"),
        _ => format!("{first}.{rest}e{exponent}"),
    }
}

/// The shortest digits of `mantissa` × 2^`power`, and the decimal exponent of the first one.
fn shortest(mantissa: u64, power: i32, boundary: bool) -> (String, i32) {
    let inclusive = mantissa & 1 == 0;
    let up = power.max(0) as u32;
    let down = power.min(0).unsigned_abs();
    let extra = u32::from(boundary);
    // The number is rest/scale; half the way to its neighbours is above/scale and below/scale.
    let mut rest = Big::from(mantissa).shifted(up + 1 + extra);
    let mut scale = Big::from(1).shifted(down + 1 + extra);
    let mut above = Big::from(1).shifted(up + extra);
    let mut below = Big::from(1).shifted(up);

    let bits = 64 - mantissa.leading_zeros() as i32;
    let estimate = (f64::from(bits - 1 + power) * std::f64::consts::LOG10_2 - 1e-9).ceil() as i32;
    for _ in 0..estimate.max(0) {
        scale.multiply(10);
    }
    for _ in 0..estimate.min(0).unsigned_abs() {
        for number in [&mut rest, &mut above, &mut below] {
            number.multiply(10);
        }
    }
    let reaches = |rest: &Big, above: &Big, scale: &Big| match rest.plus(above).compare(scale) {
        Ordering::Greater => true,
        Ordering::Equal => inclusive,
        Ordering::Less => false,
    };
    let mut exponent = estimate;
    if !reaches(&rest, &above, &scale) {
        exponent -= 1;
        for number in [&mut rest, &mut above, &mut below] {
            number.multiply(10);
        }
    }
    let mut digits = String::new();
    loop {
        let mut digit = 0u8;
        while digit < 9 && rest.compare(&scale) != Ordering::Less {
            rest.subtract(&scale);
            digit += 1;
        }
        let low = match rest.compare(&below) {
            Ordering::Less => true,
            Ordering::Equal => inclusive,
            Ordering::Greater => false,
        };
        let high = reaches(&rest, &above, &scale);
        if low || high {
            let nearer_above = rest.plus(&rest).compare(&scale) != Ordering::Less;
            let round_up = high && (!low || nearer_above);
            digits.push(char::from(b'0' + digit + u8::from(round_up && digit < 9)));
            return (digits, exponent);
        }
        digits.push(char::from(b'0' + digit));
        for number in [&mut rest, &mut above, &mut below] {
            number.multiply(10);
        }
    }
}

/// A natural number of any size: 32-bit digits, the least significant first, no zeros on top.
#[derive(Clone, Debug)]
struct Big(Vec<u32>);

impl Big {
    fn from(mut value: u64) -> Self {
        let mut digits = Vec::new();
        while value != 0 {
            digits.push(value as u32);
            value >>= 32;
        }
        Self(digits)
    }

    /// This × 2^`bits`.
    fn shifted(mut self, bits: u32) -> Self {
        self.multiply(1 << (bits % 32));
        let zeros = vec![0; (bits / 32) as usize];
        self.0.splice(0..0, zeros);
        self
    }

    fn multiply(&mut self, factor: u32) {
        let mut carry = 0u64;
        for digit in &mut self.0 {
            carry += u64::from(*digit) * u64::from(factor);
            *digit = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            self.0.push(carry as u32);
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0u64;
        let mut sum = Vec::with_capacity(self.0.len().max(other.0.len()) + 1);
        for index in 0..self.0.len().max(other.0.len()) {
            let digit = |number: &Self| u64::from(number.0.get(index).copied().unwrap_or(0));
            carry += digit(self) + digit(other);
            sum.push(carry as u32);
            carry >>= 32;
        }
        if carry != 0 {
            sum.push(carry as u32);
        }
        Self(sum)
    }

    /// Takes `other`, which is not larger, away.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = 0i64;
        for (index, digit) in self.0.iter_mut().enumerate() {
            let taken = i64::from(other.0.get(index).copied().unwrap_or(0));
            let difference = i64::from(*digit) - taken + borrow;
            *digit = difference as u32;
            borrow = difference >> 32;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let by_length = self.0.len().cmp(&other.0.len());
        by_length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn of(sign_exponent: u16, significand: u64) -> Option<String> {
        x87(u128::from(sign_exponent) << 64 | u128::from(significand))
    }

    /// Digits and exponent of a text, so that notations can be compared.
    fn normal(text: &str) -> (String, i32) {
        let value: Vec<&str> = text.split('e').collect();
        let exponent: i32 = value.get(1).map_or(0, |text| text.parse().unwrap());
        let (whole, fraction) = value[0].split_once('.').unwrap_or((value[0], ""));
        let digits = format!("{whole}{fraction}");
        let zeros = digits.len() - digits.trim_start_matches('0').len();
        let digits = digits.trim_matches('0').to_owned();
        (digits, exponent + whole.len() as i32 - 1 - zeros as i32)
    }

    #[test]
    fn doubles_read_as_rust_writes_them() {
        let mut random = Random::new(3);
        let special = [1.0, 0.1, 1e22, 1e23, 5e-324, f64::MAX, f64::MIN_POSITIVE, 9.5, 123456.0];
        let values = special.into_iter().map(f64::to_bits);
        let values = values.chain((0..3000).map(|_| random.next()));
        for bits in values {
            let value = f64::from_bits(bits).abs();
            if !value.is_finite() || value == 0.0 {
                continue;
            }
            let (fraction, exponent) = (value.to_bits() & ((1 << 52) - 1), value.to_bits() >> 52);
            let integer_bit = u64::from(exponent != 0) << 52;
            let power = exponent.max(1) as i32 - 1075;
            let text = decimal(fraction | integer_bit, power, fraction == 0 && exponent > 1);
            assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
            assert_eq!(normal(&text), normal(&format!("{value:e}")), "{value:e}");
        }
    }

    #[test]
    fn x87_numbers_read_as_printf_would_round_them() {
        assert_eq!(of(0x3fff, 1 << 63).as_deref(), Some("1"));
        assert_eq!(of(0xbfff, 1 << 63).as_deref(), Some("-1"));
        assert_eq!(of(0x3ffb, 0xcccc_cccc_cccc_cccd).as_deref(), Some("0.1"));
        assert_eq!(of(0x4000, 0xc90f_daa2_2168_c235).as_deref(), Some("3.1415926535897932385"));
        assert_eq!(of(0x403e, u64::MAX).as_deref(), Some("18446744073709551615"));
        assert_eq!(of(0x7ffe, u64::MAX).as_deref(), Some("1.189731495357231765e4932"));
        assert_eq!(of(0, 1).as_deref(), Some("4e-4951"));
        assert_eq!(of(0, 0).as_deref(), Some("0"));
        assert_eq!(of(0x8000, 0).as_deref(), Some("-0"));
        assert_eq!(of(0x7fff, 1 << 63).as_deref(), Some("inf"));
        assert_eq!(of(0xffff, 1 << 63).as_deref(), Some("-inf"));
        assert_eq!(of(0x7fff, 3 << 62).as_deref(), Some("NaN"));
    }

    #[test]
    fn x87_bits_that_are_no_number_are_refused() {
        assert_eq!(of(0x3fff, 1 << 62), None);
        assert_eq!(of(0x7fff, 0), None);
    }
}
