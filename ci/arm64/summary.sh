# Sourced by the scripts for arm64.

# What tests say of themselves: pytest's last line, or the sum of what cargo's test binaries say.
summary() {
  awk '/^test result:/ { rust = 1; passed += $4; failed += $6; ignored += $8 }
       /^[0-9]+ (passed|failed|skipped|deselected|error).* in [0-9.]+s/ { sub(/ in .*/, ""); python = $0 }
       END { if (rust) { printf "%d passed", passed
                         if (failed) printf ", %d failed", failed
                         if (ignored) printf ", %d ignored", ignored }
             else printf "%s", python }' "$1"
}
