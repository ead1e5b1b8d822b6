// Three clips in step: one button, one position and one choice of sound drive them all.
const DRIFT = 0.08;
const DEFAULT_SOUND = "candidate";
let playing = null;

const nearby = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      nearby.unobserve(entry.target);
      entry.target.loadClips();
    }
  }
}, { rootMargin: "300px" });

function clock(seconds) {
  const whole = Math.floor(seconds / 60);
  return `${whole}:${(seconds - 60 * whole).toFixed(1).padStart(4, "0")}`;
}

function makePlayer(sample) {
  const name = page.samples[sample];
  const videos = [];
  const figures = SIDES.map((side) => clipFigure(side, page.clips[side][sample], videos));
  const box = make("div", { class: "player" }, make("div", { class: "clips" }, ...figures));
  if (!videos.length) return box;
  const button = make("button", { type: "button", "aria-label": `Play the clips of ${name}` }, "Play");
  const seek = make("input", { type: "range", min: "0", max: "1", step: "any", value: "0", "aria-label": `Position in the clips of ${name}` });
  const time = make("output", {}, "0:00.0");
  const sound = make("select", {}, ...soundOptions(videos));
  sound.value = videos.some((video) => video.dataset.side === DEFAULT_SOUND) ? DEFAULT_SOUND : videos[0].dataset.side;
  box.append(make("div", { class: "transport" }, button, seek, time, make("label", {}, "Sound", sound)));
  const player = { videos, button, seek, time, sound, name, running: false };
  wire(player);
  box.loadClips = () => videos.forEach((video) => {
    video.preload = "metadata";
    video.src = page.addresses[Number(video.dataset.address)];
  });
  nearby.observe(box);
  return box;
}

function clipFigure(side, clip, videos) {
  const screen = make("div", { class: "screen" });
  if (clip.at === undefined) {
    screen.append(make("p", {}, clip.note));
  } else {
    const video = make("video", { preload: "none", playsInline: true, muted: true, "aria-label": side });
    video.dataset.side = side;
    video.dataset.address = String(clip.at);
    video.addEventListener("error", () => {
      videos.splice(videos.indexOf(video), 1);
      screen.replaceChildren(make("p", {}, "the file is not there, or this browser cannot play it"));
    });
    videos.push(video);
    screen.append(video);
  }
  const caption = make("figcaption", {}, make("b", {}, side[0].toUpperCase() + side.slice(1)));
  if (clip.says) caption.append(`: “${clip.says}”`);
  return make("figure", { class: "clip" }, screen, caption);
}

function soundOptions(videos) {
  const sides = videos.map((video) => video.dataset.side);
  return [...sides, "all", "none"].map((side) => make("option", { value: side }, side));
}

function wire(player) {
  const { videos, button, seek, sound } = player;
  const setSound = () => videos.forEach((video) => {
    video.muted = sound.value !== "all" && sound.value !== video.dataset.side;
  });
  const measure = () => {
    seek.max = String(longest(player));
    showTime(player);
  };
  setSound();
  sound.addEventListener("change", setSound);
  videos.forEach((video) => video.addEventListener("loadedmetadata", measure));
  seek.addEventListener("input", () => moveTo(player, Number(seek.value)));
  button.addEventListener("click", () => (player.running ? pause(player) : play(player)));
}

function longest(player) {
  return Math.max(0.1, ...player.videos.map((video) => video.duration || 0));
}

function showTime(player, at = Number(player.seek.value)) {
  player.seek.value = String(at);
  player.seek.setAttribute("aria-valuetext", `${at.toFixed(1)} of ${longest(player).toFixed(1)} seconds`);
  player.time.value = `${clock(at)} / ${clock(longest(player))}`;
}

function moveTo(player, at) {
  player.videos.forEach((video) => {
    video.currentTime = Math.min(at, video.duration || at);
  });
  // A clip that had ended does not go on by itself.
  if (player.running) startAll(player, at);
  showTime(player, at);
}

function startAll(player, at) {
  player.videos.forEach((video) => {
    if (video.duration > at && video.paused) video.play().catch(() => pause(player));
  });
}

function play(player) {
  if (playing && playing !== player) pause(playing);
  playing = player;
  player.running = true;
  player.button.textContent = "Pause";
  player.button.setAttribute("aria-label", `Pause the clips of ${player.name}`);
  const from = Number(player.seek.value);
  moveTo(player, from >= longest(player) - 0.05 ? 0 : from);
  requestAnimationFrame(() => keepInStep(player));
}

function pause(player) {
  player.running = false;
  player.button.textContent = "Play";
  player.button.setAttribute("aria-label", `Play the clips of ${player.name}`);
  player.videos.forEach((video) => video.pause());
}

function keepInStep(player) {
  if (!player.running) return;
  const leader = player.videos.reduce((a, b) => ((b.duration || 0) > (a.duration || 0) ? b : a), player.videos[0]);
  if (!leader || leader.ended) {
    pause(player);
    if (leader) showTime(player, longest(player));
    return;
  }
  const at = leader.currentTime;
  for (const video of player.videos) {
    const behind = video !== leader && !video.seeking && at < video.duration && Math.abs(video.currentTime - at) > DRIFT;
    if (behind) video.currentTime = at;
  }
  showTime(player, at);
  requestAnimationFrame(() => keepInStep(player));
}

function pauseAll() {
  if (playing) pause(playing);
}
