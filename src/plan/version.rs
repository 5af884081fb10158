//! Software versions as the bridge spells them: `2.0(RC)`, `2.6.1`, `3.1`.

/// The number before the first dot, or None if the text does not start with a number.
pub fn major(version: &str) -> Option<u32> {
    let digits: String = version.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Is this version certainly older than that one? One that cannot be read is taken as new enough.
pub fn is_before(version: &str, than: (u32, u32)) -> bool {
    let mut numbers = version.trim().split(|c: char| !c.is_ascii_digit());
    let Some(major) = numbers.next().and_then(|number| number.parse().ok()) else { return false };
    let minor = numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    (major, minor) < than
}

/// Is this version certainly older than 2.0, the first with nonMemberAccess and bulk sync (R1)?
/// A version that cannot be read is taken as new enough: refusing to work over a spelling would help nobody.
pub fn is_too_old(version: &str) -> bool {
    major(version).is_some_and(|major| major < 2)
}

#[cfg(test)]
mod tests;
