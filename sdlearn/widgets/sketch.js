// Runs where the image of a pad has been loaded, with `this` the <img>: one draws on the canvas that
// lies over it. "go" puts image and drawing together and types them, as a PNG in base64, into the
// text box of the pad, whose content ipywidgets carries to Python.
const pad = this.closest(".sdlearn-sketch"), canvas = pad.querySelector("canvas");
const part = (name) => pad.querySelector(`[name=${name}]`);
const pen = canvas.getContext("2d", { willReadFrequently: true });
const past = []; // what stood on the canvas before each stroke
let last = null; // where the pen is, while it is down

const remember = () => past.push(pen.getImageData(0, 0, canvas.width, canvas.height));
const place = (event) => {
  const box = canvas.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  return [x * canvas.width, y * canvas.height];
};
const draw = (event) => {
  if (!last) return;
  const now = place(event);
  pen.strokeStyle = part("colour").value;
  pen.lineWidth = (part("brush").value * canvas.width) / 128;
  pen.lineCap = "round";
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(now[0] + 0.01, now[1]); // a line of no length would be no dot
  pen.stroke();
  last = now;
};

canvas.onpointerdown = (event) => {
  remember();
  canvas.setPointerCapture(event.pointerId); // a stroke may leave the canvas and come back
  last = place(event);
  draw(event);
};
canvas.onpointermove = draw;
canvas.onpointerup = canvas.onpointercancel = () => { last = null; };
part("fill").onclick = () => {
  remember();
  pen.fillStyle = part("colour").value;
  pen.fillRect(0, 0, canvas.width, canvas.height);
};
part("undo").onclick = () => { if (past.length) pen.putImageData(past.pop(), 0, 0); };
part("go").onclick = () => {
  const whole = document.createElement("canvas"), box = pad.querySelector("textarea");
  [whole.width, whole.height] = [canvas.width, canvas.height];
  const paper = whole.getContext("2d");
  paper.drawImage(this, 0, 0, whole.width, whole.height);
  paper.drawImage(canvas, 0, 0);
  box.value = whole.toDataURL("image/png");
  box.dispatchEvent(new Event("change", { bubbles: true }));
};
