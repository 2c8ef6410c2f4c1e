// Runs work that asks the server. What goes wrong is said once, in one place; the limiter's wish to wait is kept.

import { Refusal, explain } from "./api.js";

const LONGEST_WAIT_S = 60;  // a rule may have been changed meanwhile

// say(text), "" for nothing; signIn(): a token is needed; again(): what was left out may be asked now.
export function makeGuard({ say, signIn, again }) {
  let waiting = null;
  let signedOut = false;

  async function guard(work) {
    if (waiting || signedOut) return;
    try {
      await work();
      say("");
    } catch (error) {
      refused(error);
    }
  }

  function refused(error) {
    if (error instanceof Refusal && error.status === 401) {
      signedOut = true;
      signIn();
    } else if (error instanceof Refusal && error.status === 429) {
      wait(error);
    } else {
      say(explain(error));
      if (!(error instanceof Refusal || error instanceof TypeError)) throw error;  // ours: let the console tell
    }
  }

  function wait(error) {
    const seconds = Math.min(error.retryAfter, LONGEST_WAIT_S);
    say(`This page is limited as well: ${error.message}. Asking again in ${seconds} s.`);
    waiting ??= setTimeout(() => { waiting = null; again(); }, seconds * 1000);
  }

  guard.signedIn = () => { signedOut = false; };
  return guard;
}
