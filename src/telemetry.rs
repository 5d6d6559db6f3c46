//! Logs: to a file for the console, JSON on stderr for the services. Never a secret.
