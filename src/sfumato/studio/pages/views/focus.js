// The focus, when a view shows another of its places: what was pressed is gone, so it begins anew, as in a new view.

import { useEffect, useRef } from "../lib.js";

/** Moves the focus to the beginning of the view whenever `place` changes. */
export function useFocus(place) {
  const before = useRef(place);
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    document.getElementById("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [place]);
}
