// Why a function is traced or compiled again.

import type { CompileEvent } from "../contract";

/** The reason in one line; empty for the first time. */
export function reasonText(event: CompileEvent): string {
  const reason = event.reason;
  if (!reason) return "";
  const change =
    reason.before || reason.after ? `: ${reason.before} → ${reason.after}` : "";
  return `again: ${reason.cause}${reason.where && ` of ${reason.where}`}${change}`;
}
