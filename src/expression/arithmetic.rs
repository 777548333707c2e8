//! Arithmetic on numbers of different kinds: an int and a double give a double. CEL itself has no such overload and would
//! make an expectation false only because a target wrote `5` instead of `5.0`.

use cel::common::ast::operators;
use cel::common::types::{CelDouble, CelInt, CelUInt, DYN_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

type Answer<'b, 'v> = Result<CowVal<'b, 'v>, ExecutionError>;

pub(super) const ADD: &str = "@add";
pub(super) const SUBTRACT: &str = "@sub";
pub(super) const MULTIPLY: &str = "@mul";
pub(super) const DIVIDE: &str = "@div";

/// Declares the widened operators.
pub(super) fn add_to(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(ADD, ADD, vec![DYN_TYPE, DYN_TYPE], add)?;
    env.add_overload(SUBTRACT, SUBTRACT, vec![DYN_TYPE, DYN_TYPE], subtract)?;
    env.add_overload(MULTIPLY, MULTIPLY, vec![DYN_TYPE, DYN_TYPE], multiply)?;
    env.add_overload(DIVIDE, DIVIDE, vec![DYN_TYPE, DYN_TYPE], divide)
}

/// A number of any kind as a double.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts and milliseconds are far below 2^53; above it a double is what arithmetic of mixed kinds means"
)]
pub(super) fn as_double(value: &dyn Val) -> Option<f64> {
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        Some(*number.inner())
    } else if let Some(number) = value.downcast_ref::<CelInt>() {
        Some(*number.inner() as f64)
    } else {
        value.downcast_ref::<CelUInt>().map(|number| *number.inner() as f64)
    }
}

/// Both operands as doubles, if they are numbers of different kinds.
fn mixed(left: &dyn Val, right: &dyn Val) -> Option<(f64, f64)> {
    if left.get_type() == right.get_type() {
        return None;
    }
    Some((as_double(left)?, as_double(right)?))
}

fn no_overload<'b, 'v>(operator: &str, left: &dyn Val, right: &dyn Val) -> Answer<'b, 'v> {
    let kinds = vec![left.get_type().name().to_owned(), right.get_type().name().to_owned()];
    Err(ExecutionError::no_such_overload(operator, kinds))
}

fn double<'b, 'v>(value: f64) -> Answer<'b, 'v> {
    Ok(CowVal::owned(CelDouble::from(value)))
}

/// The two operands; overloads are only called with as many as they declare.
fn operands<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<[CowVal<'b, 'v>; 2], ExecutionError> {
    let got = arguments.len();
    arguments
        .try_into()
        .map_err(|_| ExecutionError::invalid_argument_count(2, got))
}

fn add<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = operands(arguments)?;
    if let Some((left, right)) = mixed(left.as_ref(), right.as_ref()) {
        return double(left + right);
    }
    match left.as_adder() {
        Some(adder) => Ok(CowVal::Owned(adder.add(right.as_ref())?.into_owned())),
        None => no_overload(operators::ADD, left.as_ref(), right.as_ref()),
    }
}

fn subtract<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = operands(arguments)?;
    if let Some((left, right)) = mixed(left.as_ref(), right.as_ref()) {
        return double(left - right);
    }
    match left.as_subtractor() {
        Some(subtractor) => Ok(CowVal::Owned(subtractor.sub(right.as_ref())?.into_owned())),
        None => no_overload(operators::SUBSTRACT, left.as_ref(), right.as_ref()),
    }
}

fn multiply<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = operands(arguments)?;
    if let Some((left, right)) = mixed(left.as_ref(), right.as_ref()) {
        return double(left * right);
    }
    match left.as_multiplier() {
        Some(multiplier) => Ok(CowVal::Owned(multiplier.mul(right.as_ref())?.into_owned())),
        None => no_overload(operators::MULTIPLY, left.as_ref(), right.as_ref()),
    }
}

fn divide<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Answer<'b, 'v> {
    let [left, right] = operands(arguments)?;
    if let Some((left, right)) = mixed(left.as_ref(), right.as_ref()) {
        return double(left / right);
    }
    match left.as_divider() {
        Some(divider) => Ok(CowVal::Owned(divider.div(right.as_ref())?.into_owned())),
        None => no_overload(operators::DIVIDE, left.as_ref(), right.as_ref()),
    }
}
