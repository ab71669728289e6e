import { expect, test } from "vitest";
import { Store } from "../../src/store/store";
import { fixture } from "../fixtures";

test("a panel of another version says so", () => {
  const data = { ...fixture("clean"), jaxdbg_panel: 2 as never };
  expect(() => new Store().receive(data)).toThrow("reads format 1 and received format 2");
});
