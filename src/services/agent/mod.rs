//! The agent on a host: makes keys, installs certificates, reports.
