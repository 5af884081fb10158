//! HTTP Basic with realm `acano`, the account and its lock (cms-protocol.md 1.1, section 14 "401 burst or lockout").

use std::time::Duration;

use tokio::time::Instant;

use crate::switches::Switches;
use crate::wire::base64;

/// The one API account.
#[derive(Debug)]
pub struct Account {
    pub username: String,
    pub password: String,
    /// What the header must carry, without padding.
    expected: String,
    /// Refused requests in a row that carried credentials.
    failures: u32,
    locked_until: Option<Instant>,
}

impl Account {
    /// An account that is not locked.
    pub fn new(username: &str, password: &str) -> Self {
        let expected = base64::standard_unpadded(format!("{username}:{password}").as_bytes());
        Self { username: username.to_owned(), password: password.to_owned(), expected, failures: 0, locked_until: None }
    }

    /// Changes the password, as an administrator would; unlocks as well.
    pub fn set_password(&mut self, password: &str) {
        *self = Self::new(&self.username.clone(), password);
    }

    /// Ends a lock.
    pub fn unlock(&mut self) {
        self.failures = 0;
        self.locked_until = None;
    }

    /// Judges the Authorization header of a request. A request without one is the first half of a challenge and does
    /// not count towards a lock.
    pub fn admits(&mut self, header: Option<&str>, switches: &Switches) -> bool {
        let now = Instant::now();
        if switches.lockout_after == 0 || self.locked_until.is_some_and(|until| now >= until) {
            self.unlock();
        }
        let locked = self.locked_until.is_some();
        let Some(header) = header else { return false };
        let good = credentials(header).is_some_and(|given| given.trim_end_matches('=') == self.expected);
        if good && !locked {
            self.failures = 0;
            return true;
        }
        self.failures += 1;
        if switches.lockout_after > 0 && self.failures >= switches.lockout_after && !locked {
            self.locked_until = Some(now + Duration::from_millis(switches.lockout_ms));
        }
        false
    }
}

/// The part after the word `Basic`; a missing blank is accepted (1.1, BF).
fn credentials(header: &str) -> Option<&str> {
    let (scheme, rest) = header.trim().split_at_checked(5)?;
    scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_forms() {
        let mut account = Account::new("admin", "cisco");
        let switches = Switches::default();
        assert!(account.admits(Some("Basic YWRtaW46Y2lzY28="), &switches));
        assert!(account.admits(Some("BasicYWRtaW46Y2lzY28="), &switches));
        assert!(account.admits(Some("basic  YWRtaW46Y2lzY28"), &switches));
        assert!(!account.admits(Some("Basic YWRtaW46eA=="), &switches));
        assert!(!account.admits(Some("Bearer x"), &switches));
        assert!(!account.admits(None, &switches));
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lock_the_count_begins_anew() {
        let mut account = Account::new("admin", "cisco");
        let switches = Switches { lockout_after: 2, lockout_ms: 1000, ..Switches::default() };
        let wrong = |account: &mut Account| assert!(!account.admits(Some("Basic xx"), &switches));
        wrong(&mut account);
        wrong(&mut account);
        wrong(&mut account);
        tokio::time::advance(Duration::from_millis(1001)).await;
        wrong(&mut account);
        assert!(account.admits(Some("Basic YWRtaW46Y2lzY28="), &switches), "one wrong try locks nothing");
    }

    #[test]
    fn a_burst_locks_even_the_right_password() {
        let mut account = Account::new("admin", "cisco");
        let switches = Switches { lockout_after: 2, ..Switches::default() };
        assert!(!account.admits(None, &switches));
        assert!(!account.admits(Some("Basic xx"), &switches));
        assert!(account.admits(Some("Basic YWRtaW46Y2lzY28="), &switches));
        assert!(!account.admits(Some("Basic xx"), &switches));
        assert!(!account.admits(Some("Basic xx"), &switches));
        assert!(!account.admits(Some("Basic YWRtaW46Y2lzY28="), &switches));
        account.unlock();
        assert!(account.admits(Some("Basic YWRtaW46Y2lzY28="), &switches));
    }
}
