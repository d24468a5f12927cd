//! What the shop sells: every make of every kind.

use samovar_clock::Random;

const MAKES: [&str; 20] = [
    "Copper", "Brass", "Silver", "Enamel", "Oak", "Walnut", "Glass", "Stone", "Linen", "Woollen",
    "Red", "Blue", "Green", "Black", "White", "Small", "Large", "Round", "Square", "Travel",
];

/// Name, category, and the price in cents of the cheapest make.
const KINDS: [(&str, &str, u64); 20] = [
    ("samovar", "brewing", 9_900),
    ("teapot", "brewing", 2_400),
    ("kettle", "brewing", 3_900),
    ("strainer", "brewing", 450),
    ("cup", "drinking", 650),
    ("mug", "drinking", 800),
    ("saucer", "drinking", 380),
    ("tumbler", "drinking", 520),
    ("tray", "serving", 1_900),
    ("sugar bowl", "serving", 1_250),
    ("creamer", "serving", 1_100),
    ("spoon", "serving", 290),
    ("tea caddy", "storing", 1_450),
    ("honey jar", "storing", 990),
    ("biscuit tin", "storing", 1_150),
    ("basket", "storing", 1_700),
    ("tablecloth", "linen", 2_900),
    ("napkin", "linen", 340),
    ("tea cosy", "linen", 1_600),
    ("towel", "linen", 720),
];

pub(super) struct Product {
    pub(super) sku: u64,
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) price_cents: u64,
}

/// The first ones are sold the most.
pub(super) fn pick(random: &Random) -> Product {
    let products = (MAKES.len() * KINDS.len()) as u64;
    let sku = random.below(products).min(random.below(products));
    let make = sku as usize / KINDS.len();
    let (kind, category, cheapest_cents) = KINDS[sku as usize % KINDS.len()];
    let price_cents = cheapest_cents * (20 + make as u64) / 20;
    Product { sku, name: format!("{} {kind}", MAKES[make]), category, price_cents }
}
