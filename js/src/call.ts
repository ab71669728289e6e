/** One call of a function: each function counts its own, from 1. */
export interface Call {
  function: string;
  number: number;
}
