//! Arithmetic (rule-sql 2.10). Integers never overflow, they grow; floats never become NaN or infinite, that raises.

use num_bigint::BigInt;
use num_traits::Zero;

use super::super::ast::Arith;
use super::{Bytes, EvalError, Result, Value};

/// The longest text that `+` may build, in bytes.
const MAX_TEXT: usize = 16 << 20;
/// The largest integer that arithmetic may build, in bits.
const MAX_BITS: u64 = 16_384;

pub(super) fn arith(operator: Arith, left: &Value, right: &Value) -> Result<Value> {
    if operator == Arith::Add && (matches!(left, Value::Str(_)) || matches!(right, Value::Str(_))) {
        return concat(left, right);
    }
    if !left.is_number() || !right.is_number() {
        let (symbol, left, right) = (operator.symbol(), left.kind(), right.kind());
        return Err(EvalError::other(format!("`{symbol}` cannot take {left} and {right} (badarith)")));
    }
    match operator {
        Arith::Divide => divide(left, right),
        Arith::IntegerDivide | Arith::Remainder => integers(operator, left, right),
        _ => match (left, right) {
            (Value::Float(_), _) | (_, Value::Float(_)) => floats(operator, left, right),
            _ => integers(operator, left, right),
        },
    }
}

pub(super) fn negate(value: &Value) -> Result<Value> {
    match value {
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Int(number) => Ok(number.checked_neg().map_or_else(|| Value::big(-BigInt::from(*number)), Value::Int)),
        Value::Big(number) => Ok(Value::big(-number.as_ref())),
        other => Err(EvalError::other(format!("`-` cannot take {} (badarith)", other.kind()))),
    }
}

fn concat(left: &Value, right: &Value) -> Result<Value> {
    let mut out = Vec::new();
    for part in [left, right] {
        part.write_text(&mut out).map_err(|error| EvalError::other(error.to_string()))?;
        if out.len() > MAX_TEXT {
            return Err(EvalError::other("the text that `+` builds is longer than 16 MiB"));
        }
    }
    Ok(Value::Str(Bytes::from(out)))
}

fn integers(operator: Arith, left: &Value, right: &Value) -> Result<Value> {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        let small = match operator {
            Arith::Add => a.checked_add(*b),
            Arith::Subtract => a.checked_sub(*b),
            Arith::Multiply => a.checked_mul(*b),
            Arith::IntegerDivide => a.checked_div(*b),
            _ => a.checked_rem(*b),
        };
        if let Some(number) = small {
            return Ok(Value::Int(number));
        }
    }
    let (Some(a), Some(b)) = (left.to_big(), right.to_big()) else {
        return Err(EvalError::other(format!("`{}` takes integers only (badarith)", operator.symbol())));
    };
    let number = match operator {
        Arith::Add => a + b,
        Arith::Subtract => a - b,
        Arith::Multiply if a.bits() + b.bits() <= MAX_BITS => a * b,
        Arith::Multiply => return Err(EvalError::other("the product is larger than 16384 bits")),
        _ if b.is_zero() => return Err(by_zero()),
        Arith::IntegerDivide => a / b,
        _ => a % b,
    };
    Ok(Value::big(number))
}

fn floats(operator: Arith, left: &Value, right: &Value) -> Result<Value> {
    let (Some(a), Some(b)) = (left.to_float(), right.to_float()) else { return Err(out_of_range()) };
    let number = match operator {
        Arith::Add => a + b,
        Arith::Subtract => a - b,
        _ => a * b,
    };
    Value::float(number).ok_or_else(out_of_range)
}

fn divide(left: &Value, right: &Value) -> Result<Value> {
    let (Some(a), Some(b)) = (left.to_float(), right.to_float()) else { return Err(out_of_range()) };
    if b == 0.0 {
        return Err(by_zero());
    }
    Value::float(a / b).ok_or_else(out_of_range)
}

fn by_zero() -> EvalError {
    EvalError::other("division by zero (badarith)")
}

fn out_of_range() -> EvalError {
    EvalError::other("the result is beyond the range of floats (badarith)")
}
