"""The npm registry's protocol (npm, pnpm, yarn, bun, deno)."""
