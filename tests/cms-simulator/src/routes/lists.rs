//! Pages, filters and the order of lists (cms-protocol.md 3.1, 3.2).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::reply::Ctx;
use crate::refusal::Refusal;
use crate::state::Cluster;
use crate::state::record::Fields;
use crate::switches::ListOrder;

/// One page.
#[derive(Debug)]
pub struct Page<T> {
    /// Number of items that match, whatever the page holds.
    pub total: String,
    /// The items of the page.
    pub items: Vec<T>,
}

/// Cuts the page that a request asks for. The smaller of ceiling and `limit` wins; an offset past the end gives an
/// empty page with the true total.
pub fn page<T>(
    ctx: &Ctx<'_>,
    cluster: &Cluster,
    plural: &str,
    mut items: Vec<T>,
    id: impl Fn(&T) -> &str,
) -> Result<Page<T>, Refusal> {
    let number = |name: &'static str| match ctx.query.non_empty(name) {
        Some(text) => text.trim().parse::<usize>().map(Some).map_err(|_| Refusal::parameter(name)),
        None => Ok(None),
    };
    let (offset, limit) = (number("offset")?.unwrap_or(0), number("limit")?);
    if cluster.switches.list_order == ListOrder::Shuffled {
        items.sort_by_cached_key(|item| {
            let mut hasher = DefaultHasher::new();
            (cluster.shuffle_seed, id(item)).hash(&mut hasher);
            hasher.finish()
        });
    }
    let ceiling = cluster.switches.ceiling(plural).min(ctx.page_cap.unwrap_or(usize::MAX));
    let length = limit.unwrap_or(ceiling).min(ceiling);
    let total = items.len().to_string();
    let items = items.into_iter().skip(offset).take(length).collect();
    Ok(Page { total, items })
}

/// Whether a text contains another, by switch without regard to (ASCII) case. A part without letters, such as a call
/// id, needs no lower case, which makes the commonest search over thousands of spaces cheap.
pub fn contains(cluster: &Cluster, text: &str, part: &str) -> bool {
    let letters = part.bytes().any(|b| b.is_ascii_alphabetic());
    if cluster.switches.filter_ignores_case && letters {
        return text.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
    }
    text.contains(part)
}

/// Applies `filter` and the exact filters of a table. Empty filters do not restrict (3.2).
pub fn matches(ctx: &Ctx<'_>, cluster: &Cluster, fields: &Fields, searched: &[&str], exact: &[(&str, &str)]) -> bool {
    if let Some(part) = ctx.query.non_empty("filter")
        && !searched.is_empty()
        && !searched.iter().filter_map(|name| fields.get(name)).any(|text| contains(cluster, text, part))
    {
        return false;
    }
    exact.iter().all(|(parameter, field)| match ctx.query.non_empty(parameter) {
        Some(wanted) => fields.get(field).is_some_and(|value| value.eq_ignore_ascii_case(wanted)),
        None => true,
    })
}
