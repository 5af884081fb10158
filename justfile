# The steps of CI, one by one: what runs here is what runs there (.ci/run).

# List the recipes
default:
    @just --list

# Format the code
fmt:
    cargo fmt --all

# Lints, as errors
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Licences, bans and sources of the dependencies (cargo install cargo-deny)
deny:
    cargo deny --locked check licenses bans sources

# All tests; arguments go to cargo, for example: just test -p cms-simulator
test *args="--workspace":
    cargo test --locked {{ args }}

# Generate crds/ from src/api. A chart can only carry what is below it, so it has copies, which tests compare
crds:
    cargo run --locked -p meeting-controller -- crds --dir crds
    cp crds/*.yaml deploy/chart/files/crds/
    cp deploy/monitoring/dashboard.json deploy/monitoring/prometheusrule.yaml deploy/chart/files/monitoring/

# Fail if crds/ is not what src/api says, or does not take what the release took
drift:
    cargo run --locked -p meeting-controller -- crds --dir crds --check --compat-with tests/it/fixtures/release-0.1/crds

# Control plane, simulated bridge and controller on this machine, and one meeting from start to end
playground *args:
    cargo playground {{ args }}

# The page of `kubectl meetings board` in a real browser (Debian's chromium, or $CHROMIUM), and its pictures in docs/images
board-picture:
    BOARD_PICTURES=1 cargo test --locked -p it -- board::browser:: --ignored --nocapture

# Benchmarks
bench *args:
    cargo run --release --locked -p bench -- {{ args }}

# The full sets of what the tests sample (docs/proof.md), 25 minutes and more
proof:
    SWEEP=all HABITS=200 WALKS=60 cargo test --locked -p it -- sweep:: takeover:: habits:: walk:: --nocapture --test-threads 1

# Flux itself (source- and kustomize-controller) applies from git and waits (docs/gitops.md); building it takes minutes
gitops:
    cargo test --locked -p it -- flux:: --ignored --nocapture --test-threads 1

# The tests against the oldest Kubernetes that is promised; building it takes ten minutes
oldest-kubernetes *args:
    bash .ci/oldest-kubernetes {{ args }}

# 500 random rules of series against python-dateutil (pip install python-dateutil==2.9.0); the tests have 160 of them, drawn once
rules count="500":
    cargo build --locked -p meeting-controller
    python3 tests/oracle/rules.py target/debug/meeting-controller {{ count }}

# docs/from-tms.md word by word: its script and its commands (needs python3)
page-from-tms:
    cargo test --locked -p it -- from_tms:: --ignored

# Two processes, the leader stopped a second before twenty meetings start
takeover-of-twenty:
    cargo test --locked -p it -- processes:: --ignored

# What a release consists of, built and tried (docs/releases.md)
release-check:
    bash .ci/release

# Everything that CI does
ci:
    bash .ci/run
