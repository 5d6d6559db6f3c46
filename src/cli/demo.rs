use super::console::DemoArguments;
pub(super) fn main(_a: &DemoArguments) -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
