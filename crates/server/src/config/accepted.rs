//! Settings that Redis has, that clients, tools and files set, and that change nothing here.
//!
//! Only what stays true is accepted: a setting whose other values would promise something takes its default alone.

use super::setting::{Setting, yes_no};

pub(crate) static ROWS: &[Setting] =
    &[yes_no("daemonize", "no", "Running in the background is a service manager's work.").at_start().only(
        "no",
        "only 'no' is accepted: use a service manager (systemd, a container) to run the server in the background",
    )];
