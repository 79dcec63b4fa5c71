//! Integer division and equality without conversion: what the operators do, under a function's name.

use num_traits::Zero;

use super::args::{big, integer};
use super::{Fault, Function};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        2..=2,
        "div(dividend, divisor) -> integer",
        "Integer division; truncates towards zero.",
        &[
            ("div(7, 2)", "3"),
            ("div(-7, 2)", "-3"),
            ("div(7, -2)", "-3"),
            ("div(-9223372036854775808, -1)", "9223372036854775808"),
            ("div(1, 0)", "!"),
            ("div(7.0, 2)", "!"),
            ("div('7', 2)", "!"),
        ],
        |args| {
            let (dividend, divisor) = (big(args, 0)?, big(args, 1)?);
            if divisor.is_zero() { Err(by_zero()) } else { integer(dividend / divisor) }
        },
    ),
    Function::new(
        2..=2,
        "mod(dividend, divisor) -> integer",
        "The remainder of an integer division; it has the sign of the dividend.",
        &[("mod(7, 2)", "1"), ("mod(-7, 3)", "-1"), ("mod(5, -3)", "2"), ("mod(1, 0)", "!"), ("mod(7.5, 2)", "!")],
        |args| {
            let (dividend, divisor) = (big(args, 0)?, big(args, 1)?);
            if divisor.is_zero() { Err(by_zero()) } else { integer(dividend % divisor) }
        },
    ),
];

fn by_zero() -> Fault {
    Fault::failed("division by zero")
}
