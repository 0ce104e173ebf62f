//! The tax, tip and service charge that an order took, less what it gave back.

use crate::square::orders::{Order, OrderMoneyAmounts, OrderReturn, OrderReturnPart};
use crate::square::wire::Money;

/// Amounts sold less amounts returned; none where the order says nothing of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Net {
    pub(super) tax: Option<i64>,
    pub(super) tip: Option<i64>,
    pub(super) service_charge: Option<i64>,
}

impl Net {
    /// As Square has worked it out, else the order's totals less what came back.
    pub(super) fn of(order: &Order) -> Self {
        let net = Self::said(order.net_amounts.as_ref());
        let sold = Self {
            tax: amount(order.total_tax_money.as_ref()),
            tip: amount(order.total_tip_money.as_ref()),
            service_charge: amount(order.total_service_charge_money.as_ref()),
        };
        let returns = order.returns.iter().flatten();
        let returned = Self::said(order.return_amounts.as_ref()).or(returns
            .map(Self::returned)
            .fold(Self::default(), |sum, back| sum.with(back, add)));
        net.or(sold.with(returned, subtract))
    }

    /// Returns the amounts that came back of one sale: as Square has added them up,
    /// else from its parts.
    fn returned(back: &OrderReturn) -> Self {
        let lines = || back.return_line_items.iter().flatten();
        let parts = Self {
            tax: applied(back.return_taxes.as_deref())
                .or_else(|| sum(lines().map(|line| line.total_tax_money.as_ref()))),
            tip: applied(back.return_tips.as_deref()),
            service_charge: applied(back.return_service_charges.as_deref())
                .or_else(|| sum(lines().map(|line| line.total_service_charge_money.as_ref()))),
        };
        Self::said(back.return_amounts.as_ref()).or(parts)
    }

    fn said(amounts: Option<&OrderMoneyAmounts>) -> Self {
        amounts.map_or_else(Self::default, |amounts| Self {
            tax: amount(amounts.tax_money.as_ref()),
            tip: amount(amounts.tip_money.as_ref()),
            service_charge: amount(amounts.service_charge_money.as_ref()),
        })
    }

    /// Each amount, else the other's.
    fn or(self, other: Self) -> Self {
        self.with(other, Option::or)
    }

    fn with(self, other: Self, both: impl Fn(Option<i64>, Option<i64>) -> Option<i64>) -> Self {
        Self {
            tax: both(self.tax, other.tax),
            tip: both(self.tip, other.tip),
            service_charge: both(self.service_charge, other.service_charge),
        }
    }
}

fn amount(money: Option<&Money>) -> Option<i64> {
    money?.amount
}

fn applied(parts: Option<&[OrderReturnPart]>) -> Option<i64> {
    sum(parts?.iter().map(|part| part.applied_money.as_ref()))
}

fn sum<'a>(amounts: impl Iterator<Item = Option<&'a Money>>) -> Option<i64> {
    amounts.map(amount).fold(None, add)
}

fn add(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    }
}

fn subtract(sold: Option<i64>, returned: Option<i64>) -> Option<i64> {
    match (sold, returned) {
        (sold, None) => sold,
        (sold, Some(returned)) => Some(sold.unwrap_or(0).saturating_sub(returned)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn money(amount: i64) -> Value {
        json!({"amount": amount, "currency": "USD"})
    }

    fn amounts(tax: i64, tip: i64, charge: i64) -> Value {
        json!({"tax_money": money(tax), "tip_money": money(tip), "service_charge_money": money(charge)})
    }

    fn net(order: Value) -> [Option<i64>; 3] {
        let mut order = order;
        order["id"] = json!("O");
        let Net {
            tax,
            tip,
            service_charge,
        } = Net::of(&serde_json::from_value(order).unwrap());
        [tax, tip, service_charge]
    }

    #[test]
    fn squares_own_net_amounts_come_first_one_by_one() {
        let sold = json!({"total_tax_money": money(9), "total_tip_money": money(8),
            "total_service_charge_money": money(7)});
        assert_eq!(net(sold.clone()), [Some(9), Some(8), Some(7)]);
        let mut order = sold.clone();
        order["net_amounts"] = amounts(-3, -2, -1);
        assert_eq!(net(order.clone()), [Some(-3), Some(-2), Some(-1)]);
        order["net_amounts"] = json!({"tax_money": money(5), "tip_money": {"currency": "USD"}});
        assert_eq!(net(order), [Some(5), Some(8), Some(7)]);
        assert_eq!(net(json!({})), [None; 3]);
    }

    #[test]
    fn what_came_back_is_subtracted_wherever_it_is_said() {
        let sold = |returns: Value, amounts: Value| {
            json!({"total_tax_money": money(100), "total_tip_money": money(50),
                "total_service_charge_money": money(20), "returns": returns, "return_amounts": amounts})
        };
        let expected = [Some(88), Some(45), Some(17)];
        let whole = sold(json!([{}]), amounts(12, 5, 3));
        assert_eq!(net(whole), expected);
        let each = sold(
            json!([{"return_amounts": amounts(10, 5, 1)}, {"return_amounts": amounts(2, 0, 2)}]),
            Value::Null,
        );
        assert_eq!(net(each), expected);
        let applied = |amount: i64| json!([{"applied_money": money(amount)}]);
        let parts = sold(
            json!([
                {"return_taxes": applied(10), "return_tips": applied(5), "return_service_charges": applied(1)},
                {"return_line_items": [{"quantity": "1", "total_tax_money": money(2),
                    "total_service_charge_money": money(2)}]},
            ]),
            Value::Null,
        );
        assert_eq!(net(parts), expected);
    }

    #[test]
    fn a_return_alone_is_below_zero_and_nothing_overflows() {
        let back = json!({"return_amounts": amounts(4, 0, i64::MIN)});
        assert_eq!(net(back), [Some(-4), Some(0), Some(i64::MAX)]);
    }
}
