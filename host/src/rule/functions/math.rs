//! Floating-point mathematics, and rounding to integers.
//!
//! A result that is not a finite number never becomes a value: it raises.

use super::args::{big, float, integer, number, whole};
use super::{Fault, Function};
use crate::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        1..=1,
        "abs(integer) -> integer",
        "The absolute value. Integers only, as in EMQX.",
        &[
            ("abs(-5)", "5"),
            ("abs(5)", "5"),
            ("abs(-9223372036854775808)", "9223372036854775808"),
            ("abs(-5.5)", "!"),
            ("abs('5')", "!"),
        ],
        |args| integer(big(args, 0)?.magnitude().clone().into()),
    ),
    Function::new(
        1..=1,
        "acos(number) -> float",
        "Arc cosine, in radians. The argument is between -1 and 1.",
        &[("acos(1)", "0.0"), ("acos(2)", "!"), ("acos(nope)", "!")],
        |args| map(args, f64::acos),
    ),
    Function::new(
        1..=1,
        "asin(number) -> float",
        "Arc sine, in radians. The argument is between -1 and 1.",
        &[("asin(1)", "1.5707963267948966"), ("asin(-2)", "!")],
        |args| map(args, f64::asin),
    ),
    Function::new(
        1..=1,
        "atan(number) -> float",
        "Arc tangent, in radians.",
        &[("atan(1)", "0.7853981633974483"), ("atan(0)", "0.0")],
        |args| map(args, f64::atan),
    ),
    Function::new(
        1..=1,
        "acosh(number) -> float",
        "Inverse hyperbolic cosine. The argument is at least 1.",
        &[("acosh(1)", "0.0"), ("acosh(0.5)", "!")],
        |args| map(args, acosh),
    ),
    Function::new(1..=1, "asinh(number) -> float", "Inverse hyperbolic sine.", &[("asinh(0)", "0.0")], |args| {
        map(args, f64::asinh)
    }),
    Function::new(
        1..=1,
        "atanh(number) -> float",
        "Inverse hyperbolic tangent. The argument is between -1 and 1, both excluded.",
        &[("atanh(0)", "0.0"), ("atanh(1)", "!"), ("atanh(-1)", "!")],
        |args| map(args, f64::atanh),
    ),
    Function::new(1..=1, "cos(number) -> float", "Cosine of an angle in radians.", &[("cos(0)", "1.0")], |args| {
        map(args, f64::cos)
    }),
    Function::new(1..=1, "sin(number) -> float", "Sine of an angle in radians.", &[("sin(0)", "0.0")], |args| {
        map(args, f64::sin)
    }),
    Function::new(
        1..=1,
        "tan(number) -> float",
        "Tangent of an angle in radians.",
        &[("tan(0)", "0.0"), ("tan('0')", "!")],
        |args| map(args, f64::tan),
    ),
    Function::new(
        1..=1,
        "cosh(number) -> float",
        "Hyperbolic cosine.",
        &[("cosh(0)", "1.0"), ("cosh(1000)", "!")],
        |args| map(args, f64::cosh),
    ),
    Function::new(
        1..=1,
        "sinh(number) -> float",
        "Hyperbolic sine.",
        &[("sinh(0)", "0.0"), ("sinh(1000)", "!")],
        |args| map(args, f64::sinh),
    ),
    Function::new(1..=1, "tanh(number) -> float", "Hyperbolic tangent.", &[("tanh(0)", "0.0")], |args| {
        map(args, f64::tanh)
    }),
    Function::new(
        1..=1,
        "ceil(number) -> integer",
        "The next integer upwards.",
        &[("ceil(-1.2)", "-1"), ("ceil(1.2)", "2"), ("ceil(3)", "3"), ("ceil('1')", "!")],
        |args| round_by(args, f64::ceil),
    ),
    Function::new(
        1..=1,
        "floor(number) -> integer",
        "The next integer downwards.",
        &[("floor(-1.2)", "-2"), ("floor(1.8)", "1"), ("floor(true)", "!")],
        |args| round_by(args, f64::floor),
    ),
    Function::new(
        1..=1,
        "round(number) -> integer",
        "The nearest integer; halves go away from zero.",
        &[
            ("round(2.5)", "3"),
            ("round(-1.5)", "-2"),
            ("round(0.5)", "1"),
            ("round(1.0e20)", "100000000000000000000"),
            ("round(7)", "7"),
        ],
        |args| round_by(args, f64::round),
    ),
    Function::new(
        1..=1,
        "exp(number) -> float",
        "e to this power.",
        &[("exp(0)", "1.0"), ("exp(1000)", "!")],
        |args| map(args, f64::exp),
    ),
    Function::new(
        1..=1,
        "log(number) -> float",
        "The natural logarithm of a positive number.",
        &[("log(10)", "2.302585092994046"), ("log(1)", "0.0"), ("log(0)", "!"), ("log(-1)", "!")],
        |args| map(args, f64::ln),
    ),
    Function::new(
        1..=1,
        "log10(number) -> float",
        "The logarithm of base 10 of a positive number.",
        &[("log10(100)", "2.0"), ("log10(0)", "!")],
        |args| map(args, f64::log10),
    ),
    Function::new(
        1..=1,
        "log2(number) -> float",
        "The logarithm of base 2 of a positive number.",
        &[("log2(8)", "3.0"), ("log2(0)", "!")],
        |args| map(args, f64::log2),
    ),
    Function::new(
        1..=1,
        "sqrt(number) -> float",
        "The square root of a number that is not negative.",
        &[("sqrt(4)", "2.0"), ("sqrt(-1)", "!"), ("sqrt('4')", "!")],
        |args| map(args, f64::sqrt),
    ),
    Function::new(
        2..=2,
        "power(base, exponent) -> float",
        "The base to the power of the exponent; a float even for integers.",
        &[
            ("power(2, 10)", "1024.0"),
            ("power(0, 0)", "1.0"),
            ("power(2, -1)", "0.5"),
            ("power(-8, 0.5)", "!"),
            ("power(10, 400)", "!"),
            ("power(0, -1)", "!"),
        ],
        |args| float(number(args, 0)?.powf(number(args, 1)?)),
    ),
    Function::new(
        2..=2,
        "fmod(dividend, divisor) -> float",
        "The remainder of a division; it has the sign of the dividend.",
        &[("fmod(-7, 3)", "-1.0"), ("fmod(5.5, -2)", "1.5"), ("fmod(1, 0)", "!")],
        |args| float(number(args, 0)? % number(args, 1)?),
    ),
    Function::with_world(
        0..=0,
        "random() -> float",
        "A random number of at least 0 and below 1. Not for secrets.",
        &[("is_float(random())", "true"), ("floor(random())", "0")],
        |world, _| float((world.random() >> 11) as f64 / (1u64 << 53) as f64),
    ),
];

/// As precise near one as far from it, where the usual formula loses half of the digits.
fn acosh(x: f64) -> f64 {
    let above = x - 1.0;
    match above {
        0.0..1.0 => (above + (above * (above + 2.0)).sqrt()).ln_1p(),
        _ => x.acosh(),
    }
}

fn map(args: &[Value], f: fn(f64) -> f64) -> Result<Value, Fault> {
    float(f(number(args, 0)?))
}

fn round_by(args: &[Value], f: fn(f64) -> f64) -> Result<Value, Fault> {
    match args {
        [integer @ (Value::Int(_) | Value::Big(_))] => Ok(integer.clone()),
        _ => whole(f(number(args, 0)?)),
    }
}
