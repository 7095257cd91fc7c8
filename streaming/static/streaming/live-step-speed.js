// @ts-check
/** How many steps a second a person wants of a simulation, as this browser remembers it. */

/**
 * Return the speed that was chosen last: null for no limit, undefined if none was.
 * @param {string} simulation
 * @returns {number | null | undefined}
 */
export function recallSpeed(simulation) {
  try {
    const speed = localStorage.getItem(key(simulation));
    return speed === null ? undefined : Number(speed) || null;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} simulation
 * @param {number | null} speed
 */
export function rememberSpeed(simulation, speed) {
  try {
    localStorage.setItem(key(simulation), String(speed ?? ""));
  } catch {
    // A browser that keeps nothing begins with the simulation's own.
  }
}

/** @param {string} simulation */
function key(simulation) {
  return `live-step-speed:${simulation}`;
}
