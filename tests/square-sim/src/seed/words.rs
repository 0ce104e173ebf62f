//! Words to make names of, in several scripts, because names with accents,
//! wide characters and emoji are where encodings break.

use fastrand::Rng;

use crate::random::{one_in, pick};

const KINDS: &[&str] = &[
    "Espresso",
    "Café crème",
    "抹茶ラテ",
    "Żurek",
    "Smørrebrød",
    "Croissant",
    "Pão de queijo",
    "Крем-брюле",
    "Jalapeño bagel",
    "Crème brûlée",
    "Tea",
    "Flat white",
    "Kürtőskalács",
    "Sandwich",
    "שקשוקה",
    "حمص",
    "김밥",
    "Candle",
    "Mug",
    "Tote bag",
    "Gift box",
    "🍕 Pizza",
    "👩‍🍳 Chef's plate",
    "Soup",
    "Salad",
    "O'Brien's stew",
];

const TRAITS: &[&str] = &[
    "House",
    "Iced",
    "Double",
    "Organic",
    "Spicy",
    "Vegan",
    "Large-batch",
    "Winter",
    "Summer",
    "\"Old style\"",
    "Roasted",
    "Smoked",
    "Wild",
    "Salted",
    "Sweet",
    "Hand-made",
    "Local",
    "Early bird",
    "Late night",
    "Naïve",
];

const SIZES: &[&str] = &[
    "Regular",
    "Small",
    "Medium",
    "Large",
    "Extra large",
    "Kids",
    "12 oz",
    "500 g",
    "Grande",
    "Größe M",
    "大",
    "Per lb",
];

const CATEGORIES: &[&str] = &[
    "Beverages",
    "Bakery",
    "Süßes",
    "Lunch",
    "Retail",
    "Gifts",
    "季節限定",
    "Breakfast",
    "Soups & Stews",
    "Postres",
    "Seasonal",
    "Catering",
];

const SENTENCES: &[&str] = &[
    "Made fresh every morning.",
    "Contains nuts; ask us about allergens.",
    "Line one\nline two\twith a tab, a \\ and a \"quote\".",
    "Une spécialité de la maison ☕",
    "材料はすべて国産です。",
    "Best within 3 days.",
    "",
];

/// A name for an item.
pub(crate) fn item(rng: &mut Rng) -> String {
    format!(
        "{} {} {}",
        pick(rng, TRAITS),
        pick(rng, KINDS),
        rng.u32(1..1_000)
    )
}

/// A name for a variation.
pub(crate) fn variation(rng: &mut Rng) -> &'static str {
    pick(rng, SIZES)
}

/// A name for a category.
pub(crate) fn category(number: usize) -> String {
    let round = number / CATEGORIES.len();
    let name = CATEGORIES[number % CATEGORIES.len()];
    if round == 0 {
        name.to_owned()
    } else {
        format!("{name} {}", round + 1)
    }
}

/// A description, sometimes empty, and now and then with U+0000 inside, which
/// JSON can carry and PostgreSQL cannot hold.
pub(crate) fn description(rng: &mut Rng) -> String {
    let text = pick(rng, SENTENCES);
    if one_in(rng, 60) {
        format!("{text}\u{0}(copied from the old till)")
    } else {
        text.to_owned()
    }
}
